// What the rules of a configuration are, how they work, and what they would have done.
#include "cli/rules_command.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/bench_rules.h"
#include "cli/command_line.h"
#include "cli/line_input.h"
#include "cli/reading_ways.h"
#include "cli/rule_trial.h"
#include "net/http_message.h"
#include "node/config.h"
#include "node/prepared_config.h"
#include "rules/field_path.h"

namespace verge::cli {
namespace {

struct RulesOptions {
  std::string file;
  std::string with;
  std::string name;
  std::string admin;
  uint64_t lines = 100;
  uint64_t seconds = 10;
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
      "publish", "upload", "drop", "purge", "webhook", "worker", "ask", "answer", "insight", "store"};
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

std::string level_text(rules::AskLevel level) {
  switch (level) {
    case rules::AskLevel::kNext:
      return "the next level";
    case rules::AskLevel::kEdge:
      return "the edge";
    case rules::AskLevel::kFog:
      return "the fog";
    case rules::AskLevel::kCloud:
      return "the cloud";
    case rules::AskLevel::kPlaced:
      return "the level that urgency and complexity name";
  }
  return {};
}

// Where a row goes: what is urgent is acted upon here, what is complex is asked above, what is significant goes up, and
// of the rest nothing is kept.
std::vector<std::pair<std::string, std::string>> ways_of(const rules::Rule& rule) {
  std::vector<std::pair<std::string, std::string>> ways;
  for (const rules::Action& action : rule.actions) {
    if (std::holds_alternative<rules::PublishAction>(action)) {
      ways.emplace_back("act", "publishes here, at once");
    } else if (const auto* ask = std::get_if<rules::AskAction>(&action)) {
      ways.emplace_back("up", fmt::format("asks {} of {}, for {} ms; then {}", ask->question, level_text(ask->level),
                                          std::chrono::duration_cast<std::chrono::milliseconds>(ask->deadline).count(),
                                          ask->otherwise ? "the fallback" : "nothing"));
    } else if (const auto* insight = std::get_if<rules::InsightAction>(&action)) {
      ways.emplace_back("tell", fmt::format("an insight at {} where significance is above 0.7{}",
                                            name_of(insight->priority), insight->readings ? ", with readings" : ""));
    } else if (const auto* upload = std::get_if<rules::UploadAction>(&action)) {
      ways.emplace_back(rule.has_window() ? "aggregate" : "keep",
                        upload->priority ? fmt::format("goes up at {}", name_of(*upload->priority))
                                         : "importance: above 0.8 at once, above 0.5 in batches, else discarded");
    } else if (const auto* store = std::get_if<rules::StoreAction>(&action)) {
      ways.emplace_back("keep", store->importance ? "here by importance: above 0.8, above 0.5 for a day, else discarded"
                                : store->is_hot   ? "here until its room is needed"
                                                  : "here for a day");
    } else if (std::holds_alternative<rules::DropAction>(action)) {
      ways.emplace_back("discard", "nothing else keeps it");
    }
  }
  return ways;
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
  for (auto& way : ways_of(rule)) steps.push_back(std::move(way));
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
  if (!options.with.empty()) {
    if (!options.name.empty() && prepared->rules->find(options.name) == nullptr) {
      return fault_unknown_rule(options, *prepared->rules);
    }
    const Result<void> done =
        print_ways(prepared->config, {.with = options.with, .rule = options.name, .json = options.json});
    return done ? kSuccess : print_failure(done.error(), kUsage);
  }
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
  uint64_t remembered = 0;
};

Counts counts_of(const RuleTrial& trial, size_t rule) {
  const rules::RuleCounters& counters = trial.evaluator().counters(rule);
  return {.matched = trial.evaluator().matched(rule),
          .rows = counters.fired.value(),
          .errors = counters.errors.value(),
          .late = counters.late.value(),
          .refused = counters.refused.value(),
          .remembered = trial.remembered(rule)};
}

// What became of the message between the two. `performed`: actions.
std::string_view outcome_of(const rules::Rule& rule, const Counts& before, const Counts& after, uint64_t performed) {
  if (after.rows != before.rows) {
    if (performed > 0) return "rows";
    return after.errors != before.errors ? "error" : "discarded";
  }
  if (after.late != before.late) return "late";
  if (after.refused != before.refused) return "refused";
  if (after.errors != before.errors) return "error";
  if (after.remembered == before.remembered) return "not chosen by WHERE";
  const rules::MemoryPlan& plan = rule.memory_plan();
  const bool may_wait = plan.window || plan.has_event_time || plan.join_within_us;
  if (!may_wait) return "not chosen by WHERE, remembered by functions";
  return plan.condition ? "remembered, unless WHERE does not choose it" : "remembered";
}

// Of a running node, as it happens there.
int trace_node(const RulesOptions& options) {
  const std::string target = fmt::format("/v1/rules/{}/trace?lines={}&seconds={}", net::percent_encode(options.name),
                                         options.lines, options.seconds);
  const Result<AdminAnswer> answer =
      admin_get(options.admin, target, std::chrono::seconds(options.seconds) + std::chrono::seconds(10));
  if (!answer) return print_failure(answer.error(), kFailure);
  if (answer->status != 200) {
    fmt::print(stderr, "verge rules: {} answered {}: {}\n", options.admin, answer->status, answer->body);
    return kFailure;
  }
  fmt::print("{}", answer->body);
  return kSuccess;
}

// How far each message that the rule's topic matches got, and what came of it.
int trace(RulesOptions& options) {
  if (!options.admin.empty()) {
    if (options.name.empty()) options.name = options.file;
    return trace_node(options);
  }
  if (options.name.empty() || options.with.empty()) {
    return print_failure(
        {"rules.line", "it is not said which messages", "give FILE NAME --with MESSAGES, or NAME --admin HOST:PORT"},
        kUsage);
  }
  const auto prepared = prepare(options.file);
  if (!prepared) return kUsage;
  const rules::Rule* rule = prepared->rules->find(options.name);
  if (rule == nullptr) return fault_unknown_rule(options, *prepared->rules);
  const std::string own = fmt::format("{{\"rule\":{},", json_string(rule->name));
  uint64_t performed = 0;
  RuleTrial trial(prepared->rules, [&](const std::string& line) {
    if (!line.starts_with(own)) return;
    if (line.find(R"("action":)") == own.size()) ++performed;
    fmt::print("{}\n", line);
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
        if (after.matched != before.matched || after.rows != before.rows || after.remembered != before.remembered) {
          fmt::print("{{\"line\":{},\"outcome\":\"{}\",\"rows\":{}}}\n", line_number,
                     outcome_of(*rule, before, after, performed), after.rows - before.rows);
        }
        performed = 0;
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

void add_file(Command& command, RulesOptions& options) {
  command.add_option("file", options.file, "The node's configuration file")->required()->type_name("FILE");
}

void add_test(Command& rules, Outcome& outcome) {
  Command* command = rules.add_command("test", "Run the rules over recorded messages and print what they do");
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

void add_list(Command& rules, Outcome& outcome) {
  Command* command = rules.add_command("list", "List the rules of a configuration");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_flag("--json", options->json, "One JSON object a rule");
  set_examples(*command, "  verge rules list edge.toml\n");
  command->callback([&outcome, options] { outcome.run = [options] { return list(*options); }; });
}

void add_rules_explain(Command& rules, Outcome& outcome) {
  Command* command = rules.add_command("explain", "Show the steps of a message through a rule");
  const auto options = std::make_shared<RulesOptions>();
  add_file(*command, *options);
  command->add_option("name", options->name, "The rule; without one, all")->type_name("NAME");
  command
      ->add_option("--with", options->with,
                   "Which way each of these messages takes, one JSON object a line; - for standard input")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "One JSON object a rule; with --with, a message");
  set_examples(*command,
               "  verge rules explain edge.toml hot-ovens\n"
               "  verge rules explain edge.toml hot-ovens --with morning.ndjson\n\n"
               "With messages, a line for each that the rule's topic matches: urgent ones act, complex ones go up,\n"
               "significant ones aggregate, others are discarded; and why.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return explain(*options); }; });
}

void add_trace(Command& rules, Outcome& outcome) {
  Command* command = rules.add_command("trace", "Show how far each message gets in a rule");
  const auto options = std::make_shared<RulesOptions>();
  command->add_option("file", options->file, "The node's configuration file; with --admin left out")
      ->required()
      ->type_name("FILE");
  command->add_option("name", options->name, "The rule")->type_name("NAME");
  command->add_option("--with", options->with, "Recorded messages, one JSON object a line; - for standard input")
      ->type_name("FILE");
  command->add_option("--admin", options->admin, "Watch the running node with this admin listener instead")
      ->type_name("HOST:PORT");
  command->add_option("--lines", options->lines, "With --admin: at most so many")->check(between(1, 10'000));
  command->add_option("--seconds", options->seconds, "With --admin: for so long")->check(between(1, 300));
  command->add_flag("--keep-open", options->keep_open, "Do not emit the windows that are open at the end");
  command->add_flag("--json", options->json, "Accepted for scripts: the output is JSON lines in any case");
  set_examples(*command,
               "  verge rules trace edge.toml hot-ovens --with morning.ndjson\n"
               "  verge rules trace hot-ovens --admin 127.0.0.1:9180 --seconds 30\n\n"
               "For each message whose topic matches: its line, what became of it, and what the rule did for it.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return trace(*options); }; });
}

void add_rules_bench(Command& rules, Outcome& outcome) {
  Command* command = rules.add_command("bench", "Measure evaluations a second, a decision's time and loading");
  const auto options = std::make_shared<RulesOptions>();
  command->add_option("--rules", options->bench.rules, "Rules that each message meets")->check(between(1, 100'000));
  command->add_option("--decision-rules", options->bench.decision_rules, "Rules that a decision goes through")
      ->check(between(1, 100'000));
  command->add_option("--load", options->bench.loaded_rules, "Rules that are loaded")->check(between(1, 1'000'000));
  command->add_option("--seconds", options->bench.seconds, "How long each is measured")->check(between(0.1, 60.0));
  command->add_flag("--json", options->json, "One JSON object");
  set_examples(*command,
               "  verge rules bench\n"
               "  verge rules bench --rules 300 --seconds 5 --json\n\n"
               "Runs in this process on one core, without a network; bench/bench_rules.py measures over MQTT.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return bench(*options); }; });
}

}  // namespace

void add_rules(Command& app, Outcome& outcome) {
  Command* command = app.add_command("rules", "List, explain, test and measure rules");
  command->group(kGroupNode);
  command->require_subcommand(1);
  add_list(*command, outcome);
  add_rules_explain(*command, outcome);
  add_test(*command, outcome);
  add_trace(*command, outcome);
  add_rules_bench(*command, outcome);
}

}  // namespace verge::cli
