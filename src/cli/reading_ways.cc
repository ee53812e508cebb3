#include "cli/reading_ways.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/line_input.h"
#include "cli/rule_trial.h"
#include "node/compiled_rules.h"
#include "rules/worth.h"

namespace verge::cli {
namespace {

using simdjson::dom::element;

// A rule is given one more action, which publishes what the row says of its worth on this topic.
constexpr std::string_view kProbe = "verge rules explain";

// What was done with one reading.
struct Taken {
  bool is_remembered = false;
  bool acts = false;
  bool asks = false;
  bool keeps = false;
  bool drops = false;
  uint64_t rows = 0;
  std::vector<std::string> did;
  std::vector<std::string> failed;
  std::map<std::string, std::string, std::less<>> worth;  // urgency, complexity, importance, significance, as JSON
};

struct Way {
  std::string_view name;
  std::string why;
};

// The worth that the rule states, by the name of the column that has it.
std::vector<std::pair<std::string, std::string>> worth_columns(const rules::Rule& rule) {
  std::vector<std::pair<std::string, std::string>> columns;
  for (const std::string_view name : {"urgency", "complexity", "importance"}) {
    const bool is_there = std::ranges::find(rule.columns, name, &rules::Column::name) != rule.columns.end();
    if (is_there) columns.emplace_back(name, name);
  }
  for (const rules::Action& action : rule.actions) {
    const auto* insight = std::get_if<rules::InsightAction>(&action);
    if (insight == nullptr) continue;
    columns.emplace_back("significance", rule.columns[insight->significance].name);
    break;
  }
  return columns;
}

rules::ActionSource probe_of(const rules::Rule& rule) {
  std::vector<std::string> members;
  for (const auto& [name, column] : worth_columns(rule)) members.push_back(fmt::format("\"{}\":${{{}}}", name, column));
  return rules::PublishSource{.topic = std::string(kProbe), .payload = fmt::format("{{{}}}", fmt::join(members, ","))};
}

// The rules that are asked about, each with its probe, compiled.
std::shared_ptr<const rules::RuleSet> with_probes(node::Config config, const std::string& only) {
  const auto plain = node::compile_rules(config);
  VERGE_ASSERT(plain.has_value());
  for (rules::RuleSource& source : config.rules) {
    const rules::Rule* rule = (*plain)->find(source.name);
    VERGE_ASSERT(rule != nullptr);
    source.actions.push_back(probe_of(*rule));
  }
  std::erase_if(config.rules, [&](const rules::RuleSource& rule) { return !only.empty() && rule.name != only; });
  auto compiled = node::compile_rules(config);
  VERGE_ASSERT(compiled.has_value());
  return *compiled;
}

std::string text_of(const element& done, std::string_view name) {
  std::string_view text;
  return done[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

// What the trial says of an action.
void note(Taken& taken, const element& done) {
  element number;
  if (done["not_performed"].get(number) == simdjson::SUCCESS) {
    return taken.failed.push_back(fmt::format("action {}: {}", simdjson::minify(number), text_of(done, "why")));
  }
  const std::string action = text_of(done, "action");
  const std::string topic = text_of(done, "topic");
  if (action == "publish" && topic == kProbe) {
    ++taken.rows;
    simdjson::dom::object worth;
    if (done["payload"].get(worth) != simdjson::SUCCESS) return;
    for (const auto [name, value] : worth) taken.worth[std::string(name)] = simdjson::minify(value);
    return;
  }
  taken.acts |= action == "publish" || action == "webhook" || action == "worker" || action == "purge";
  taken.asks |= action == "ask";
  taken.keeps |= action == "upload" || action == "store";
  taken.drops |= action == "drop";
  const std::string how = action == "upload"  ? " at " + text_of(done, "priority")
                          : action == "store" ? " " + text_of(done, "class")
                          : action == "ask"   ? " " + text_of(done, "question")
                                              : std::string();
  const std::string where = !topic.empty() ? topic : text_of(done, action == "webhook" ? "url" : "what");
  taken.did.push_back(action + how + (where.empty() ? "" : " " + printable(where)));
}

std::string worth_text(const Taken& taken) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : taken.worth) parts.push_back(fmt::format("{} {}", name, value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string with_worth(std::string_view text, const Taken& taken) {
  return taken.worth.empty() ? std::string(text) : fmt::format("{} ({})", text, worth_text(taken));
}

// Why a row led to nothing.
std::string why_discarded(const rules::Rule& rule, const Taken& taken) {
  if (!taken.failed.empty()) return fmt::format("not performed: {}", fmt::join(taken.failed, "; "));
  std::vector<std::string> reasons;
  const auto importance = taken.worth.find("importance");
  const auto significance = taken.worth.find("significance");
  const auto is_by_importance = [](const rules::Action& action) {
    const auto* upload = std::get_if<rules::UploadAction>(&action);
    const auto* store = std::get_if<rules::StoreAction>(&action);
    return (upload != nullptr && !upload->priority) || (store != nullptr && store->importance);
  };
  if (importance != taken.worth.end() && std::ranges::any_of(rule.actions, is_by_importance)) {
    reasons.push_back(fmt::format("importance {} is not above 0.5", importance->second));
  }
  if (significance != taken.worth.end()) {
    reasons.push_back(fmt::format("significance {} is not above 0.7", significance->second));
  }
  if (taken.drops) reasons.emplace_back("drop: nothing else keeps it");
  return reasons.empty() ? "the rule does nothing with it" : fmt::format("{}", fmt::join(reasons, "; "));
}

Way way_of(const rules::Rule& rule, const Taken& taken) {
  const bool is_window = rule.has_window();
  if (is_window && taken.is_remembered) return {"aggregate", "it goes to the window"};
  if (!is_window && taken.acts) return {"act", with_worth("at once, here", taken)};
  if (!is_window && taken.asks) return {"up", with_worth("another level decides", taken)};
  if (!is_window && taken.keeps) return {"aggregate", with_worth("kept", taken)};
  if (!is_window && taken.rows > 0) return {"discard", why_discarded(rule, taken)};
  if (!taken.is_remembered) return {"discard", "WHERE does not choose it, or it lacks the key"};
  const rules::MemoryPlan& plan = rule.memory_plan();
  if (plan.has_event_time) return {"remember", "it waits for its turn in time"};
  if (plan.join_within_us) return {"remember", "it waits for its partner, or WHERE does not choose the pair"};
  return {"discard", "WHERE does not choose it; functions remember it"};
}

void print_way(const rules::Rule& rule, uint64_t line, const Taken& taken, bool json) {
  const Way way = way_of(rule, taken);
  if (!json) {
    fmt::print("{} {}: {}: {}{}{}\n", line, printable(rule.name), way.name, way.why, taken.did.empty() ? "" : "; ",
               fmt::join(taken.did, ", "));
    return;
  }
  std::vector<std::string> did;
  for (const std::string& each : taken.did) did.push_back(json_string(each));
  std::string worth;
  for (const auto& [name, value] : taken.worth) worth.append(fmt::format(",{}:{}", json_string(name), value));
  fmt::print("{{\"line\":{},\"rule\":{},\"way\":\"{}\",\"why\":{},\"rows\":{},\"did\":[{}]{}}}\n", line,
             json_string(rule.name), way.name, json_string(way.why), taken.rows, fmt::join(did, ","), worth);
}

}  // namespace

Result<void> print_ways(const node::Config& config, const ReadingWays& options) {
  const auto rules = with_probes(config, options.rule);
  std::map<std::string, Taken, std::less<>> taken;  // by rule
  simdjson::dom::parser parser;
  RuleTrial trial(rules, [&](const std::string& text) {
    element done;
    const simdjson::padded_string copy(text);
    VERGE_ASSERT(parser.parse(copy).get(done) == simdjson::SUCCESS);
    note(taken[text_of(done, "rule")], done);
  });
  struct Counts {
    uint64_t matched = 0;
    uint64_t remembered = 0;
  };
  std::vector<Counts> before(rules->rules().size());
  uint64_t line_number = 0;
  const Result<void> done = for_each_line(
      options.with,
      [&](std::string_view line) -> Result<void> {
        ++line_number;
        if (trim(line).empty()) return {};
        taken.clear();
        if (const Result<void> good = trial.take(line); !good) return good;
        for (const rules::Rule& rule : rules->rules()) {
          const Counts now{.matched = trial.evaluator().matched(rule.index),
                           .remembered = trial.remembered(rule.index)};
          Taken& its = taken[rule.name];
          its.is_remembered = now.remembered != before[rule.index].remembered;
          const bool is_matched = now.matched != before[rule.index].matched || its.is_remembered;
          before[rule.index] = now;
          if (is_matched) print_way(rule, line_number, its, options.json);
        }
        return {};
      },
      [] { std::fflush(stdout); });
  std::fflush(stdout);
  return done;
}

}  // namespace verge::cli
