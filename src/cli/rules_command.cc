// What the rules of a configuration are, how they work, and what they would have done.
#include "cli/rules_command.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/bench_rules.h"
#include "cli/command_line.h"
#include "cli/line_input.h"
#include "cli/rule_trial.h"
#include "node/config.h"
#include "node/prepared_config.h"
#include "rules/field_path.h"

namespace verge::cli {
namespace {

struct RulesOptions {
  std::string file;
  std::string with;
  std::string name;
  bool keep_open = false;
  bool json = false;
  RuleBenchOptions bench;
};

int print_failure(const Error& error, int status) {
  fmt::print(stderr, "verge rules: {}\n", error.line());
  return status;
}

// Null when the configuration is wrong, which was said then.
std::unique_ptr<node::PreparedConfig> prepare(const std::string& file) {
  auto prepared = node::prepare_config(node::read_config(std::filesystem::path(file), {}), /*with_credentials=*/false);
  if (prepared) return std::make_unique<node::PreparedConfig>(std::move(*prepared));
  for (const node::ConfigProblem& problem : prepared.error()) fmt::print(stderr, "{}\n", problem.line());
  return nullptr;
}

std::string actions_of(const rules::Rule& rule) {
  static constexpr std::array<std::string_view, std::variant_size_v<rules::Action>> kNames = {
      "publish", "upload", "drop", "purge", "webhook", "worker", "ask", "answer"};
  std::vector<std::string_view> names;
  for (const rules::Action& action : rule.actions) names.push_back(kNames[action.index()]);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string filters_of(const rules::Rule& rule) {
  std::vector<std::string> filters;
  for (const rules::Feed& feed : rule.feeds) filters.push_back(feed.filter);
  return fmt::format("{}", fmt::join(filters, " + "));
}

int list(const RulesOptions& options) {
  const auto prepared = prepare(options.file);
  if (!prepared) return kUsage;
  if (!options.json) fmt::print("{:24} {:32} {:8} {}\n", "rule", "topics", "memory", "actions");
  for (const rules::Rule& rule : prepared->rules->rules()) {
    if (options.json) {
      fmt::print(R"({{"rule":{},"topics":{},"memory":{},"actions":{}}})"
                 "\n",
                 json_string(rule.name), json_string(filters_of(rule)), rule.memory.has_value(),
                 json_string(actions_of(rule)));
    } else {
      fmt::print("{:24} {:32} {:8} {}\n", rule.name, filters_of(rule), rule.memory ? "yes" : "no", actions_of(rule));
    }
  }
  return kSuccess;
}

std::string predicate_text(const rules::Feed& feed) {
  if (!feed.predicate) return feed.condition ? "no predicate that can be looked up: tested for each message" : "none";
  const rules::Predicate& predicate = *feed.predicate;
  std::string field = rules::path_text(predicate.field);
  if (!predicate.equals.empty()) return fmt::format("{} by value, {} of them", field, predicate.equals.size());
  if (predicate.least && predicate.most) {
    return fmt::format("{} from {} to {}", field, *predicate.least, *predicate.most);
  }
  if (predicate.least) return fmt::format("{} from {} on", field, *predicate.least);
  if (predicate.most) return fmt::format("{} up to {}", field, *predicate.most);
  return field;
}

// The steps of a message through the rule, in order: what is done, and details.
std::vector<std::pair<std::string, std::string>> steps_of(const rules::Rule& rule) {
  std::vector<std::pair<std::string, std::string>> steps;
  for (const rules::Feed& feed : rule.feeds) {
    steps.emplace_back("topic", feed.filter);
    std::vector<std::string> fields;
    for (const rules::FieldPath& path : feed.fields) fields.push_back(rules::path_text(path));
    steps.emplace_back("fields", fields.empty() ? "none" : fmt::format("{}", fmt::join(fields, ", ")));
    steps.emplace_back("index", predicate_text(feed));
    if (feed.condition)
      steps.emplace_back("where", fmt::format("{} instructions", feed.condition->instructions().size()));
  }
  if (rule.memory) {
    const rules::MemoryPlan& plan = *rule.memory;
    steps.emplace_back("key", plan.is_on_one_loop ? "the whole rule is on one loop" : "spreads over the loops");
    if (plan.has_event_time) {
      steps.emplace_back("order",
                         fmt::format("by event time, {} ms late at most; then it {}", plan.delay_us / 1000,
                                     plan.late == rules::LatePolicy::kDrop ? "is dropped" : "counts as current"));
    }
    if (plan.join_within_us) steps.emplace_back("join", fmt::format("within {} ms", *plan.join_within_us / 1000));
    for (const rules::MemoryStep& step : plan.steps)
      steps.emplace_back("remember", std::string(name_of(step.function)));
    if (plan.condition) steps.emplace_back("where", "after what is remembered");
    if (plan.window) {
      std::vector<std::string_view> aggregates;
      for (const rules::AggregateCall& call : plan.window->aggregates) aggregates.push_back(name_of(call.aggregate));
      steps.emplace_back("window", fmt::format("{}", fmt::join(aggregates, ", ")));
      if (plan.window->having) steps.emplace_back("having", "chooses among the rows");
    }
  }
  steps.emplace_back("row", fmt::format("{} columns{}", rule.selected_columns, rule.selects_message ? " and *" : ""));
  steps.emplace_back("actions", actions_of(rule));
  return steps;
}

int fault_unknown_rule(const RulesOptions& options, const rules::RuleSet& set) {
  std::vector<std::string> names;
  for (const rules::Rule& rule : set.rules()) names.push_back(rule.name);
  const std::string near = nearest(options.name, names);
  return print_failure({"rules.unknown", fmt::format("{} has no rule {}", options.file, options.name),
                        near.empty() ? "see verge rules list" : fmt::format("did you mean {}?", near)},
                       kUsage);
}

int explain(const RulesOptions& options) {
  const auto prepared = prepare(options.file);
  if (!prepared) return kUsage;
  bool found = false;
  for (const rules::Rule& rule : prepared->rules->rules()) {
    if (!options.name.empty() && rule.name != options.name) continue;
    found = true;
    if (options.json) {
      std::vector<std::string> steps;
      for (const auto& [what, detail] : steps_of(rule)) {
        steps.push_back(fmt::format("[{},{}]", json_string(what), json_string(detail)));
      }
      fmt::print("{{\"rule\":{},\"steps\":[{}]}}\n", json_string(rule.name), fmt::join(steps, ","));
      continue;
    }
    fmt::print("{}\n", rule.name);
    for (const auto& [what, detail] : steps_of(rule)) fmt::print("  {:10} {}\n", what, detail);
  }
  return found ? kSuccess : fault_unknown_rule(options, *prepared->rules);
}

int test(const RulesOptions& options) {
  const auto prepared = prepare(options.file);
  if (!prepared) return kUsage;
  RuleTrial trial(prepared->rules, [](const std::string& line) { fmt::print("{}\n", line); });
  const Result<void> done = for_each_line(
      options.with, [&](std::string_view line) { return trim(line).empty() ? Result<void>{} : trial.take(line); },
      [] { std::fflush(stdout); });
  if (!done) return print_failure(done.error(), kUsage);
  if (!options.keep_open) trial.finish();
  std::fflush(stdout);
  fmt::print(stderr, "{} messages\n", trial.messages());
  for (const rules::Rule& rule : prepared->rules->rules()) {
    const rules::RuleCounters& counters = trial.evaluator().counters(rule.index);
    fmt::print(stderr, "{}: {} matched, {} rows, {} errors, {} late, {} refused\n", rule.name,
               trial.evaluator().matched(rule.index), counters.fired.value(), counters.errors.value(),
               counters.late.value(), counters.refused.value());
  }
  return kSuccess;
}

// What the rule counted until now.
struct Counts {
  uint64_t matched = 0;
  uint64_t rows = 0;
  uint64_t errors = 0;
  uint64_t late = 0;
  uint64_t refused = 0;
};

Counts counts_of(const RuleTrial& trial, size_t rule) {
  const rules::RuleCounters& counters = trial.evaluator().counters(rule);
  return {.matched = trial.evaluator().matched(rule),
          .rows = counters.fired.value(),
          .errors = counters.errors.value(),
          .late = counters.late.value(),
          .refused = counters.refused.value()};
}

// How far each message that the rule's topic matches got, and what came of it.
int trace(const RulesOptions& options) {
  const auto prepared = prepare(options.file);
  if (!prepared) return kUsage;
  const rules::Rule* rule = prepared->rules->find(options.name);
  if (rule == nullptr) return fault_unknown_rule(options, *prepared->rules);
  const std::string own = fmt::format("{{\"rule\":{},", json_string(rule->name));
  RuleTrial trial(prepared->rules, [&](const std::string& line) {
    if (line.starts_with(own)) fmt::print("{}\n", line);
  });
  Counts before;
  uint64_t line_number = 0;
  const Result<void> done = for_each_line(
      options.with,
      [&](std::string_view line) -> Result<void> {
        ++line_number;
        if (trim(line).empty()) return {};
        if (const Result<void> taken = trial.take(line); !taken) return taken;
        const Counts after = counts_of(trial, rule->index);
        if (after.matched != before.matched || after.rows != before.rows) {
          const std::string_view outcome = after.rows != before.rows         ? "rows"
                                           : after.late != before.late       ? "late"
                                           : after.refused != before.refused ? "refused"
                                           : after.errors != before.errors   ? "error"
                                           : rule->memory                    ? "remembered or not chosen"
                                                                             : "not chosen by WHERE";
          fmt::print("{{\"line\":{},\"outcome\":\"{}\",\"rows\":{}}}\n", line_number, outcome,
                     after.rows - before.rows);
        }
        before = after;
        return {};
      },
      [] { std::fflush(stdout); });
  if (!done) return print_failure(done.error(), kUsage);
  if (!options.keep_open) trial.finish();
  std::fflush(stdout);
  return kSuccess;
}

int bench(const RulesOptions& options) {
  const Result<RuleBenchFigures> figures = bench_rules(options.bench);
  if (!figures) return print_failure(figures.error(), kFailure);
  fmt::print("{}", options.json ? json_of(options.bench, *figures) : text_of(options.bench, *figures));
  return kSuccess;
}

void add_file(CLI::App& command, RulesOptions& options) {
  command.add_option("file", options.file, "The node's configuration file")->required()->type_name("FILE");
}

void add_test(CLI::App& rules, Outcome& outcome) {
  CLI::App* command = add_command(rules, "test", "Run the rules over recorded messages and print what they do");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_option("--with", options->with, "Messages, one JSON object a line; - for standard input")
      ->required()
      ->type_name("FILE");
  command->add_flag("--keep-open", options->keep_open, "Do not emit the windows that are open at the end");
  command->add_flag("--json", options->json, "Accepted for scripts: the output is JSON lines in any case");
  set_examples(
      *command,
      "  verge rules test edge.toml --with morning.ndjson\n\n"
      "A line is {\"topic\":…,\"payload\":…} and may have \"device\" and \"time\" (ms since 1970 or RFC 3339).\n"
      "What the rules do goes to stdout, one JSON object each; counts by rule go to stderr.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return test(*options); }; });
}

void add_list(CLI::App& rules, Outcome& outcome) {
  CLI::App* command = add_command(rules, "list", "List the rules of a configuration");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_flag("--json", options->json, "One JSON object a rule");
  set_examples(*command, "  verge rules list edge.toml\n");
  command->callback([&outcome, options] { outcome.run = [options] { return list(*options); }; });
}

void add_rules_explain(CLI::App& rules, Outcome& outcome) {
  CLI::App* command = add_command(rules, "explain", "Show the steps of a message through a rule");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_option("name", options->name, "The rule; without one, all")->type_name("NAME");
  command->add_flag("--json", options->json, "One JSON object a rule");
  set_examples(*command, "  verge rules explain edge.toml hot-ovens\n");
  command->callback([&outcome, options] { outcome.run = [options] { return explain(*options); }; });
}

void add_trace(CLI::App& rules, Outcome& outcome) {
  CLI::App* command = add_command(rules, "trace", "Show how far each of some recorded messages gets in a rule");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_option("name", options->name, "The rule")->required()->type_name("NAME");
  command->add_option("--with", options->with, "Messages, one JSON object a line; - for standard input")
      ->required()
      ->type_name("FILE");
  command->add_flag("--keep-open", options->keep_open, "Do not emit the windows that are open at the end");
  command->add_flag("--json", options->json, "Accepted for scripts: the output is JSON lines in any case");
  set_examples(*command,
               "  verge rules trace edge.toml hot-ovens --with morning.ndjson\n\n"
               "For each message whose topic matches: its line, what became of it, and what the rule did for it.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return trace(*options); }; });
}

void add_rules_bench(CLI::App& rules, Outcome& outcome) {
  CLI::App* command = add_command(rules, "bench", "Measure evaluations a second, a decision's time and loading");
  const auto options = std::make_shared<RulesOptions>();
  command->add_option("--rules", options->bench.rules, "Rules that each message meets")->check(CLI::Range(1, 100'000));
  command->add_option("--decision-rules", options->bench.decision_rules, "Rules that a decision goes through")
      ->check(CLI::Range(1, 100'000));
  command->add_option("--load", options->bench.loaded_rules, "Rules that are loaded")->check(CLI::Range(1, 1'000'000));
  command->add_option("--seconds", options->bench.seconds, "How long each is measured")->check(CLI::Range(0.1, 60.0));
  command->add_flag("--json", options->json, "One JSON object");
  set_examples(*command,
               "  verge rules bench\n"
               "  verge rules bench --rules 300 --seconds 5 --json\n\n"
               "Runs in this process on one core, without a network; bench/bench_rules.py measures over MQTT.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return bench(*options); }; });
}

}  // namespace

void add_rules(CLI::App& app, Outcome& outcome) {
  CLI::App* command = add_command(app, "rules", "List, explain, test and measure rules");
  command->group(kGroupNode);
  command->require_subcommand(1);
  add_list(*command, outcome);
  add_rules_explain(*command, outcome);
  add_test(*command, outcome);
  add_trace(*command, outcome);
  add_rules_bench(*command, outcome);
}

}  // namespace verge::cli
