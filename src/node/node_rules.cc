// The rules of a running node: those of the configuration, and those created, stopped and started by way of the admin
// listener. One change at a time, whoever asks for it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "base/text.h"
#include "node/compiled_rules.h"
#include "node/node.h"
#include "node/readings.h"
#include "node/rule_text.h"

namespace verge::node {

Result<void> Node::load_created_rules() {
  created_rules_ = std::make_unique<CreatedRules>(file_system_, data_directory_.path() + "/rules/created.json");
  return created_rules_->load();
}

std::shared_ptr<const rules::RuleSet> Node::with_created_rules(const Config& config,
                                                               std::shared_ptr<const rules::RuleSet> configured) const {
  if (created_rules_->is_empty()) return configured;
  Config merged = config;
  merged.rules = created_rules_->running(config.rules);
  auto compiled = compile_rules(merged);
  if (compiled) return std::move(*compiled);
  for (const ConfigProblem& problem : compiled.error()) {
    log_error("rules", "the rules that were created are left out: {}", problem.error.line());
  }
  return configured;
}

std::expected<void, RuleRefusal> Node::change_rules(const RuleChange& change) {
  const std::lock_guard lock(rules_mutex_);
  const auto refuse = [](const Error& error) { return std::unexpected(RuleRefusal{.error = error}); };
  CreatedRules changed = *created_rules_;
  if (const Result<void> done = change(changed, config_.rules); !done) return refuse(done.error());
  Config merged = config_;
  merged.rules = changed.running(config_.rules);
  const auto compiled = compile_changed_rules(merged);
  if (!compiled) return std::unexpected(compiled.error());
  const Result<void> made = file_system_.make_directory(data_directory_.path() + "/rules");
  if (!made) return refuse(made.error());
  if (const Result<void> saved = changed.save(); !saved) return refuse(saved.error());
  *created_rules_ = std::move(changed);
  on_all_loops([&](Shard& shard) { shard.path->replace_rules(*compiled); });
  close_replaced_windows();
  log_info("rules", "{} rules run now", merged.rules.size());
  return {};
}

namespace {

std::string warnings_json(const rules::Rule& rule, std::string_view sql) {
  std::vector<std::string> warnings;
  for (const rules::Fault& warning : rule.warnings) {
    const Position position = position_in_text(sql, warning.offset);
    warnings.push_back(fmt::format(R"({{"code":{},"what":{},"fix":{},"line":{},"column":{}}})",
                                   json_string(warning.error.code), json_string(warning.error.what),
                                   json_string(warning.error.fix), position.line, position.column));
  }
  return fmt::format("[{}]", fmt::join(warnings, ","));
}

}  // namespace

std::string Node::rules_json(std::string_view only) const {
  const std::lock_guard lock(rules_mutex_);
  const rules::RuleSet& running = shards_[0].path->evaluator().rules();
  std::vector<std::string> listed;
  for (const rules::RuleSource& source : created_rules_->all(config_.rules)) {
    if (!only.empty() && source.name != only) continue;
    RuleReading totals;
    const rules::Rule* rule = running.find(source.name);
    std::vector<std::string> topics;
    if (rule != nullptr) {
      for (const Shard& shard : shards_) totals.add(shard.path->evaluator(), rule->index);
      for (const rules::Feed& feed : rule->feeds) topics.push_back(json_string(feed.filter));
    }
    listed.push_back(fmt::format(
        R"({{"name":{},"state":"{}","created":{},"topics":[{}],"matched":{},"rows":{},"errors":{},"late":{},)"
        R"("refused":{},"bytes":{},"sql":{},"do":{},"report":"{}","warnings":{}}})",
        json_string(source.name), rule != nullptr ? "running" : "stopped", created_rules_->is_created(source.name),
        fmt::join(topics, ","), totals.matched, totals.rows, totals.errors, totals.late, totals.refused, totals.bytes,
        json_string(source.sql), actions_json(source), report_word(source),
        rule != nullptr ? warnings_json(*rule, source.sql) : "[]"));
  }
  if (!only.empty()) return listed.empty() ? std::string() : listed.front();
  return fmt::format("{{\"rules\":[{}]}}", fmt::join(listed, ","));
}

}  // namespace verge::node
