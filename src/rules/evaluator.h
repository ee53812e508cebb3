// Evaluator: runs the rules over messages and keeps what they remember of the keys that its loop owns. One a loop; not
// thread-safe, but for the counters, which any thread may read while no replace() runs.
//
// A message costs one descent of the topic index, one parse and one walk of its payload (none where no rule that
// matches reads a field), one lookup in the predicate index of each topic filter that matches, and the condition's
// program of each rule that the index leaves.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "rules/document.h"
#include "rules/effects.h"
#include "rules/late_row.h"
#include "rules/memory.h"
#include "rules/memory_budget.h"
#include "rules/program.h"
#include "rules/row_actions.h"
#include "rules/rule_set.h"

namespace verge::rules {

struct RuleCounters {
  Counter fired;      // rows: messages selected, groups of windows emitted
  Counter errors;     // actions not performed, keys and values refused
  Counter late;       // readings that came after their time
  Counter refused;    // readings for which there was no room, or whose time cannot be
  Counter forgotten;  // keys whose memory made room for others
  Counter bytes;      // that it remembers now, about
};

class Evaluator : private Memory::Rows {
 public:
  // `budget` outlives the evaluator, and is shared with those of other loops.
  Evaluator(std::shared_ptr<const RuleSet> rules, MemoryBudget& budget);

  void evaluate(const Message& message, Effects& effects);
  // What the rule of that name says of the message: the payload of its row, or nothing where it does not choose it.
  // None of its other actions are performed. Error rules.unknown: no rule of that name answers.
  Result<std::optional<Payload>> answer(std::string_view rule, const Message& message);
  // Takes what was handed over; when advance() is next due for its rule. One for a rule that is no longer there is
  // dropped. May be called while evaluate() runs, by what it hands over.
  std::optional<WallTime> accept(const RuleInput& input, WallTime now, Effects& effects);
  // Emits what is over, rule by rule, each oldest first.
  void advance(WallTime now, Effects& effects);
  // The same of one rule, whether it is due or not.
  void advance(const Rule& rule, WallTime now, Effects& effects);
  // Takes a rule's time so far: see Memory::reach().
  void reach(const Rule& rule, int64_t time_us, Effects& effects);
  // A row of this loop's that was computed elsewhere (Effects::take_late()).
  void take(const LateRow& row, Effects& effects);
  // Emits all that is open, as at shutdown.
  void drain(Effects& effects);
  // When advance() is next due.
  [[nodiscard]] std::optional<WallTime> next_close() const;

  // Goes over to other rules. Rules with the same name and SQL keep what they remember, those with the same name their
  // counters. What others have open is set aside: accept() still takes readings for it, and emit_replaced() must follow
  // before the next replace(), once no loop can send one any more.
  void replace(std::shared_ptr<const RuleSet> rules);
  // Emits what replace() set aside, through the actions of the rules that it belongs to, as drain() would have: with
  // what came until then.
  void emit_replaced(Effects& effects);
  // How many rules have something open set aside, each by name.
  [[nodiscard]] std::vector<std::string> replaced_rules() const;

  [[nodiscard]] const RuleSet& rules() const { return *rules_; }
  // `rule` is a Rule::index.
  [[nodiscard]] const RuleCounters& counters(size_t rule) const { return *states_[rule].counters; }
  // Messages whose topic the rule's (first) filter matches.
  [[nodiscard]] uint64_t matched(size_t rule) const;

  // The rule, which remembers something, begins anew.
  void forget(size_t rule) {
    states_[rule].memory = std::make_unique<Memory>(rules_->rules()[rule], rules_->tables(), budget_);
  }
  // What the rule remembers; null where it remembers nothing.
  [[nodiscard]] Memory* memory(size_t rule) { return states_[rule].memory.get(); }

 private:
  struct State {
    std::unique_ptr<RuleCounters> counters;
    uint64_t matched_before = 0;     // under other rule sets
    std::unique_ptr<Memory> memory;  // where the rule has one
  };
  // The memory of a rule that is no longer there.
  struct Replaced {
    std::shared_ptr<const RuleSet> rules;  // keeps the rule
    const Rule* rule;
    std::unique_ptr<Memory> memory;
  };

  State make_state(const Rule& rule);
  void find_candidates(const Message& message);
  void extract(const Message& message);
  void forget_fields();
  void parse(const Message& message);
  // The payload as JSON, whatever its format.
  void parse(std::string_view topic, const Payload& payload, Document& into);
  void evaluate_feed(const Rule& rule, uint8_t feed, const Message& message, Effects& effects);
  [[nodiscard]] MessageContext context_of(const Feed& feed, const Message& message) const;
  Row row_of(const Rule& rule, const MessageContext& context, const Message& message);
  void select(const Rule& rule, const MessageContext& context, const Message& message, Effects& effects);
  void hand_over(const Rule& rule, uint8_t feed, const MessageContext& context, const Message& message,
                 Effects& effects);
  bool append_captures(const MemoryPlan& plan, const Feed& feed, const MessageContext& context, RuleInput& input);
  void take(const Rule& rule, const Memory::Row& row) override;
  bool take_late(const Rule& rule, Emission& emission, uint64_t number) override;
  // Where a rule's counts go; null for one that was replaced and has no successor of its name.
  [[nodiscard]] RuleCounters* counters_of(const Rule& rule);
  void note_memory(const Rule& rule, const Memory& memory, const Memory::Losses& before);

  std::shared_ptr<const RuleSet> rules_;  // shared with the other loops
  MemoryBudget& budget_;
  std::vector<State> states_;                   // by Rule::index
  std::vector<std::unique_ptr<Counter>> seen_;  // messages, by filter group
  std::vector<Replaced> replaced_;              // until emit_replaced()
  std::vector<uint32_t> remembering_;           // rules with memory

  // Room that is used again for each message.
  std::vector<uint32_t> groups_;
  std::vector<uint32_t> candidates_;
  std::string scratch_;
  std::vector<uint32_t> formats_;
  std::string json_;  // of a payload in another format
  Document document_;
  bool document_is_parsed_ = false;
  Arena fields_arena_;
  std::vector<Value> slots_;     // of the rule set's fields
  std::vector<uint32_t> found_;  // which of them are set
  Machine machine_;
  std::vector<Value> columns_;
  RowActions actions_;
  bool is_evaluating_ = false;

  // The same for rows of memories, which may come while a message is evaluated.
  Machine row_machine_;
  std::vector<Value> row_columns_;
  RowActions row_actions_;
  Document row_document_;
  Effects* row_effects_ = nullptr;
};

}  // namespace verge::rules
