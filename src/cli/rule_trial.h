// RuleTrial: the rules of a configuration run over recorded messages, without a node: what each would have done.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "rules/evaluator.h"
#include "rules/memory_budget.h"
#include "rules/rule_set.h"

namespace verge::cli {

class RuleTrial final : private rules::Effects {
 public:
  // `print` is given what is done, one JSON object each, in order.
  RuleTrial(std::shared_ptr<const rules::RuleSet> rules, std::function<void(const std::string&)> print);

  // A line of NDJSON: {"topic":…, "payload":…} and, where they are known, "device" and "time" (ms since 1970, or RFC
  // 3339), which is when it was received; else a millisecond after the line before. A payload that is a string is taken
  // as it is, any other as JSON.
  Result<void> take(std::string_view line);
  // Takes all that is open for over.
  void finish();

  [[nodiscard]] uint64_t messages() const { return messages_; }
  [[nodiscard]] const rules::Evaluator& evaluator() const { return evaluator_; }
  // How many messages went to what the rule remembers. `rule` is a Rule::index.
  [[nodiscard]] uint64_t remembered(size_t rule) const { return remembered_[rule]; }

 private:
  void publish(const rules::Rule& rule, std::string_view topic, std::string_view device, Payload payload, uint8_t qos,
               bool retain) override;
  void upload(const rules::Rule& rule, EventKind kind, Priority priority, std::string_view topic,
              std::string_view device, Payload payload, WallTime time) override;
  void drop(const rules::Rule& rule) override;
  void webhook(const rules::Rule& rule, const rules::WebhookAction& action, Payload payload, bool is_json) override;
  void purge(const rules::Rule& rule, rules::PurgeScope scope, std::string_view what, bool softly) override;
  void not_performed(const rules::Rule& rule, size_t action, std::string_view why) override;
  void call(const rules::Rule& rule, std::string_view worker, std::string_view topic, Payload payload,
            WallTime time) override;
  void store(const rules::Rule& rule, EventKind kind, bool is_hot, std::string_view topic, std::string_view device,
             Payload payload, WallTime time) override;
  void ask(const rules::Rule& rule, const rules::AskAction& action, const rules::Question& question) override;
  void hand_over(rules::RuleInput input) override;

  std::function<void(const std::string&)> print_;
  rules::MemoryBudget budget_;
  rules::Evaluator evaluator_;
  WallTime now_{0};
  uint64_t messages_ = 0;
  std::vector<uint64_t> remembered_;  // by Rule::index
};

}  // namespace verge::cli
