#include "cli/bench_rules.h"

#include <chrono>

#include <fmt/format.h>
#include <malloc.h>

#include "rules/evaluator.h"
#include "rules/memory_budget.h"
#include "rules/rule_set.h"

namespace verge::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Counts what rules do and does none of it.
class CountingEffects final : public rules::Effects {
 public:
  void publish(const rules::Rule&, std::string_view, std::string_view, Payload, uint8_t, bool) override { ++rows; }
  void upload(const rules::Rule&, EventKind, Priority, std::string_view, std::string_view, Payload, WallTime) override {
    ++rows;
  }
  void drop(const rules::Rule&) override {}
  void webhook(const rules::Rule&, const rules::WebhookAction&, Payload, bool) override {}
  void purge(const rules::Rule&, rules::PurgeScope, std::string_view, bool) override {}
  void hand_over(rules::RuleInput) override {}

  uint64_t rows = 0;
};

// Predicates of all kinds, each rare: bounds, equalities, both, and one that no index helps with.
std::string condition(uint64_t number) {
  switch (number % 5) {
    case 0:
      return fmt::format("temperature > {}", 100.0 + static_cast<double>(number) / 10);
    case 1:
      return fmt::format("code = {}", number);
    case 2:
      return fmt::format("pressure < {} AND temperature > 50", -static_cast<double>(number));
    case 3:
      return fmt::format("state = 's{}' OR code = {}", number, number + 100'000);
    default:
      return fmt::format("humidity BETWEEN {} AND {}", 200 + number, 201 + number);
  }
}

std::vector<rules::RuleSource> sources(uint64_t count, std::string_view filter) {
  std::vector<rules::RuleSource> made;
  for (uint64_t i = 0; i < count; ++i) {
    made.push_back({.name = fmt::format("rule-{}", i),
                    .sql = fmt::format("SELECT device, temperature FROM '{}' WHERE {}", filter, condition(i)),
                    .actions = {rules::PublishSource{.topic = "plant/${device}/command"}}});
  }
  return made;
}

Result<std::shared_ptr<const rules::RuleSet>> compiled(std::vector<rules::RuleSource> made) {
  auto set = rules::RuleSet::compile(std::move(made));
  if (!set) return std::unexpected(set.error().front().error);
  return std::move(*set);
}

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

std::vector<Payload> payloads() {
  std::vector<Payload> made;
  for (uint64_t i = 0; i < 1000; ++i) {
    made.emplace_back(fmt::format(
        R"({{"temperature":{},"pressure":{},"humidity":{},"code":{},"state":"run","sensor":"s-{}","seq":{}}})",
        20.5 + static_cast<double>(i % 100) * 0.9, 1 + i % 7, 40 + i % 50, i, i % 13, i));
  }
  return made;
}

Result<void> measure_rate(const RuleBenchOptions& options, RuleBenchFigures& figures) {
  auto set = compiled(sources(options.rules, "plant/+/oven"));
  if (!set) return std::unexpected(set.error());
  rules::MemoryBudget budget;
  rules::Evaluator evaluator(*set, budget);
  CountingEffects effects;
  const std::vector<Payload> messages = payloads();
  uint64_t done = 0;
  const auto start = SteadyClock::now();
  while (seconds_since(start) < options.seconds) {
    for (const Payload& payload : messages) {
      evaluator.evaluate({.topic = "plant/line1/oven", .device = "d", .payload = payload, .received = {1}}, effects);
    }
    done += messages.size();
  }
  const double seconds = seconds_since(start);
  figures.messages_a_second = static_cast<double>(done) / seconds;
  figures.evaluations_a_second = figures.messages_a_second * static_cast<double>(options.rules);
  figures.rows_a_second = static_cast<double>(effects.rows) / seconds;
  return {};
}

// One of the rules fires for every message.
Result<void> measure_decision(const RuleBenchOptions& options, RuleBenchFigures& figures) {
  std::vector<rules::RuleSource> made = sources(options.decision_rules - 1, "plant/+/oven");
  made.push_back({.name = "decides",
                  .sql = "SELECT device FROM 'plant/+/oven' WHERE temperature > 0",
                  .actions = {rules::PublishSource{.topic = "plant/${device}/command", .payload = "STOP"}}});
  auto set = compiled(std::move(made));
  if (!set) return std::unexpected(set.error());
  rules::MemoryBudget budget;
  rules::Evaluator evaluator(*set, budget);
  CountingEffects effects;
  const std::vector<Payload> messages = payloads();
  const auto histogram = std::make_unique<Histogram>();
  const auto start = SteadyClock::now();
  while (seconds_since(start) < options.seconds) {
    for (const Payload& payload : messages) {
      const auto begin = SteadyClock::now();
      evaluator.evaluate({.topic = "plant/line1/oven", .device = "d", .payload = payload, .received = {1}}, effects);
      histogram->record(SteadyClock::now() - begin);
    }
  }
  figures.decision.add(*histogram);
  return {};
}

size_t allocated() {
  const struct mallinfo2 state = mallinfo2();
  return state.uordblks + state.hblkhd;
}

Result<void> measure_load(const RuleBenchOptions& options, RuleBenchFigures& figures) {
  std::vector<rules::RuleSource> made = sources(options.loaded_rules, "plant/+/oven");
  const size_t before = allocated();
  const auto start = SteadyClock::now();
  auto set = rules::RuleSet::compile(made);  // a copy, so that the text is not counted
  if (!set) return std::unexpected(set.error().front().error);
  rules::MemoryBudget budget;
  const rules::Evaluator evaluator(*set, budget);
  figures.load_seconds = seconds_since(start);
  figures.bytes_a_rule = static_cast<double>(allocated() - before) / static_cast<double>(options.loaded_rules);
  return {};
}

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1000; }

}  // namespace

Result<RuleBenchFigures> bench_rules(const RuleBenchOptions& options) {
  RuleBenchFigures figures;
  for (const auto measure : {measure_load, measure_rate, measure_decision}) {
    if (const Result<void> done = measure(options, figures); !done) return std::unexpected(done.error());
  }
  return figures;
}

std::string text_of(const RuleBenchOptions& options, const RuleBenchFigures& figures) {
  return fmt::format(
      "evaluations  {:>14.0f} a second on one core: {:.0f} messages, each tested by {} rules\n"
      "rows         {:>14.0f} a second\n"
      "decision     {:>14.1f} us p50, {:.1f} us p99, {:.1f} us max through {} rules\n"
      "load         {:>14.3f} s for {} rules, {:.0f} bytes a rule\n",
      figures.evaluations_a_second, figures.messages_a_second, options.rules, figures.rows_a_second,
      microseconds(figures.decision.quantile(0.5)), microseconds(figures.decision.quantile(0.99)),
      static_cast<double>(figures.decision.max_ns) / 1000, options.decision_rules, figures.load_seconds,
      options.loaded_rules, figures.bytes_a_rule);
}

std::string json_of(const RuleBenchOptions& options, const RuleBenchFigures& figures) {
  return fmt::format(
      R"({{"rules":{},"evaluations_per_s":{:.0f},"messages_per_s":{:.0f},"rows_per_s":{:.0f},"decision_rules":{},)"
      R"("decision_p50_us":{:.2f},"decision_p99_us":{:.2f},"decision_max_us":{:.2f},"loaded_rules":{},"load_s":{:.4f},)"
      R"("bytes_per_rule":{:.0f}}})"
      "\n",
      options.rules, figures.evaluations_a_second, figures.messages_a_second, figures.rows_a_second,
      options.decision_rules, microseconds(figures.decision.quantile(0.5)),
      microseconds(figures.decision.quantile(0.99)), static_cast<double>(figures.decision.max_ns) / 1000,
      options.loaded_rules, figures.load_seconds, figures.bytes_a_rule);
}

}  // namespace verge::cli
