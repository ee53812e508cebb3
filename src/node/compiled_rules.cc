#include "node/compiled_rules.h"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/named_file.h"
#include "model/topic.h"
#include "payloads/cbor.h"
#include "payloads/protobuf.h"

namespace verge::node {
namespace {

constexpr size_t kTableBytesMax = 256U << 20;
constexpr size_t kDescriptorsBytesMax = 16U << 20;

Result<rules::Table> read_table(const TableConfig& config) {
  auto rows = read_named_file(config.file, kTableBytesMax);
  if (!rows) {
    return fail("rule.table", fmt::format("{} cannot be read: {}", config.file, rows.error().why),
                "name a file of CSV or of one JSON object a line");
  }
  return rules::Table::read({.name = config.name, .key = config.key, .rows = *std::move(rows)});
}

bool is_complete(const PayloadConfig& config) {
  return is_topic_filter(config.topic) && (config.format == PayloadKind::kCbor || !config.file.empty());
}

Result<std::shared_ptr<const payloads::Format>> read_format(const PayloadConfig& config) {
  if (config.format == PayloadKind::kCbor) return payloads::cbor_format();
  const auto descriptors = read_named_file(config.file, kDescriptorsBytesMax);
  if (!descriptors) {
    return fail("rule.payload", fmt::format("{} cannot be read: {}", config.file, descriptors.error().why),
                "name what protoc --descriptor_set_out wrote");
  }
  return payloads::protobuf_format(*descriptors, config.type);
}

// A problem of the configuration, and of which rule it is, where it is of one.
struct RulesProblem {
  ConfigProblem problem;
  std::optional<rules::RuleProblem> of_rule;
};

std::expected<std::shared_ptr<const rules::RuleSet>, std::vector<RulesProblem>> compile(const Config& config) {
  std::vector<RulesProblem> problems;
  const auto tables = std::make_shared<rules::Tables>();
  for (size_t i = 0; i < config.tables.size(); ++i) {
    Result<rules::Table> table = read_table(config.tables[i]);
    if (table) {
      tables->insert_or_assign(config.tables[i].name, std::move(*table));
    } else {
      problems.push_back({{table.error(), config.place_of(fmt::format("table.{}.file", i))}, std::nullopt});
    }
  }
  rules::PayloadFormats formats;
  for (size_t i = 0; i < config.payloads.size(); ++i) {
    if (!is_complete(config.payloads[i])) continue;  // reading the configuration says so
    Result<std::shared_ptr<const payloads::Format>> format = read_format(config.payloads[i]);
    if (format) {
      formats.add(config.payloads[i].topic, std::move(*format));
    } else {
      problems.push_back({{format.error(), config.place_of(fmt::format("payload.{}.file", i))}, std::nullopt});
    }
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  auto compiled = rules::RuleSet::compile(config.rules, tables, std::move(formats));
  if (compiled) return *compiled;
  for (const rules::RuleProblem& problem : compiled.error()) {
    problems.push_back({{problem.error, config.place_of(problem)}, problem});
  }
  return std::unexpected(std::move(problems));
}

}  // namespace

std::expected<std::shared_ptr<const rules::RuleSet>, ConfigProblems> compile_rules(const Config& config) {
  auto compiled = compile(config);
  if (compiled) return std::move(*compiled);
  ConfigProblems problems;
  for (RulesProblem& each : compiled.error()) problems.push_back(std::move(each.problem));
  return std::unexpected(std::move(problems));
}

std::expected<std::shared_ptr<const rules::RuleSet>, RuleRefusal> compile_changed_rules(const Config& config) {
  auto compiled = compile(config);
  if (compiled) return std::move(*compiled);
  const RulesProblem& first = compiled.error().front();
  RuleRefusal refusal{.error = first.problem.error};
  if (first.of_rule && first.of_rule->part == rules::RuleProblem::Part::kSql) {
    refusal.in_sql = position_in_text(config.rules.at(first.of_rule->rule).sql, first.of_rule->offset);
  }
  return std::unexpected(std::move(refusal));
}

}  // namespace verge::node
