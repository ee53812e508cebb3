// For tests: effects written down as text, and rules evaluated over messages in one line.
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "rules/evaluator.h"

namespace verge::rules {

class RecordingEffects final : public Effects {
 public:
  void publish(const Rule& rule, std::string_view topic, std::string_view device, Payload payload, uint8_t qos,
               bool retain) override {
    devices.emplace_back(device);
    done.push_back(fmt::format("{}: publish {} {}{}{}", rule.name, topic, payload.view(), qos == 1 ? " qos1" : "",
                               retain ? " retain" : ""));
  }
  void upload(const Rule& rule, EventKind kind, Priority priority, std::string_view topic, std::string_view device,
              Payload payload, WallTime time) override {
    done.push_back(fmt::format("{}: upload {} {} {} [{}] {}", rule.name, name_of(kind), name_of(priority), topic,
                               device, payload.view()));
    times.push_back(time.microseconds);
  }
  void drop(const Rule& rule) override { done.push_back(rule.name + ": drop"); }
  void purge(const Rule& rule, PurgeScope scope, std::string_view what, bool softly) override {
    static constexpr std::array kScopes = {"tag", "url", "prefix", "host"};
    done.push_back(fmt::format("{}: purge {} {}{}", rule.name, kScopes[static_cast<size_t>(scope)], what,
                               softly ? " softly" : ""));
  }
  void webhook(const Rule& rule, const WebhookAction& action, Payload payload, bool is_json) override {
    done.push_back(fmt::format("{}: webhook {} {}{}", rule.name, action.url, payload.view(), is_json ? " json" : ""));
  }
  void not_performed(const Rule& rule, size_t action, std::string_view why) override {
    refused.push_back(fmt::format("{}: action {}: {}", rule.name, action, why));
  }
  void call(const Rule& rule, std::string_view worker, std::string_view topic, Payload payload, WallTime) override {
    done.push_back(fmt::format("{}: call {} {} {}", rule.name, worker, topic, payload.view()));
  }
  void store(const Rule& rule, EventKind, bool is_hot, std::string_view topic, std::string_view device, Payload payload,
             WallTime) override {
    done.push_back(
        fmt::format("{}: store {} {} [{}] {}", rule.name, is_hot ? "hot" : "batch", topic, device, payload.view()));
  }
  void ask(const Rule& rule, const AskAction& action, const Question& question) override {
    done.push_back(fmt::format("{}: ask {} [{}] {} {}, decide {} otherwise {}", rule.name, action.question,
                               question.topic, question.device, question.payload.view(), question.decision_topic,
                               question.otherwise ? question.otherwise->view() : "-"));
    urgencies.push_back(question.urgency.value_or(-1));
  }
  bool take_late(LateRow& row) override {
    if (takes_late) late_rows.push_back(std::move(row));
    return takes_late;
  }
  void hand_over(RuleInput input) override { inputs.push_back(std::move(input)); }

  std::vector<std::string> done;
  std::vector<int64_t> times;
  std::vector<std::string> devices;  // of publishes
  std::vector<std::string> refused;
  std::vector<double> urgencies;  // of questions; -1: none is stated
  std::vector<RuleInput> inputs;
  bool takes_late = false;         // else they are computed at once
  std::vector<LateRow> late_rows;  // for the test to compute
};

inline constexpr int64_t kSecond = 1'000'000;

inline std::shared_ptr<const RuleSet> compiled(std::vector<RuleSource> sources,
                                               std::shared_ptr<const Tables> tables = nullptr) {
  auto set = RuleSet::compile(std::move(sources), std::move(tables));
  if (!set) throw std::runtime_error(set.error()[0].error.line());
  return *set;
}

// An Evaluator with its effects; readings are accepted at once, at the time of their receipt.
struct Bench {
  explicit Bench(std::vector<RuleSource> sources, std::shared_ptr<const Tables> tables = nullptr)
      : evaluator(compiled(std::move(sources), std::move(tables)), budget) {}

  void send(std::string_view topic, std::string_view payload, int64_t at_us = 1'000 * kSecond,
            std::string_view device = "client") {
    const Payload bytes(payload);
    evaluator.evaluate({.topic = topic, .device = device, .payload = bytes, .received = {at_us}}, effects);
    for (const RuleInput& input : std::exchange(effects.inputs, {})) evaluator.accept(input, {at_us}, effects);
  }

  MemoryBudget budget;
  Evaluator evaluator;
  RecordingEffects effects;
};

// The row that `SELECT <expression> AS v` makes of the payload: the text after {"v":
inline std::string evaluated(std::string_view expression, std::string_view payload = "{}") {
  Bench bench({{.name = "r",
                .sql = fmt::format("SELECT {} AS v FROM 'a/+/#'", expression),
                .actions = {PublishSource{.topic = "out"}}}});
  bench.send("a/oven-7/t", payload, 1'700'000'000'123'456);
  const std::string& row = bench.effects.done.at(0);
  const size_t begin = row.find("{\"v\":") + 5;
  return row.substr(begin, row.size() - 1 - begin);
}

}  // namespace verge::rules
