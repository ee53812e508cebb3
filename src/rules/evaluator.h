// Evaluator: runs the rules over messages and keeps the windows of the groups that its loop owns. One a loop; not
// thread-safe, but for the counters, which any thread may read while no replace() runs.
//
// A message costs one descent of the topic index, then for the rules that match one parse of its payload (none where no
// rule reads a field) and, for each, one walk over the parsed document and its condition's program.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "rules/document.h"
#include "rules/effects.h"
#include "rules/program.h"
#include "rules/row_actions.h"
#include "rules/rule_set.h"
#include "rules/window.h"

namespace verge::rules {

struct RuleCounters {
  Counter matched;  // messages whose topic the filter matches
  Counter fired;    // rows: messages selected, groups of windows emitted
  Counter errors;   // actions not performed, keys and readings refused
};

class Evaluator {
 public:
  explicit Evaluator(std::shared_ptr<const RuleSet> rules);

  void evaluate(const Message& message, Effects& effects);
  // Takes a reading into its window. One for a rule that is no longer there is dropped.
  void accept(const WindowInput& input, WallTime now);
  // Emits the windows that have closed, rule by rule, each oldest first.
  void advance(WallTime now, Effects& effects);
  // Emits all open windows, as at shutdown.
  void drain(Effects& effects);
  // When advance() is next due.
  [[nodiscard]] std::optional<WallTime> next_close() const;

  // Goes over to other rules. Rules with the same name and SQL keep their open windows, those with the same name their
  // counters. Other open windows are set aside: accept() still takes readings for them, and emit_replaced() must follow
  // before the next replace(), once no loop can send one any more.
  void replace(std::shared_ptr<const RuleSet> rules);
  // Emits the windows that replace() set aside, through the actions of the rules that they belong to, as drain() would
  // have: with what came until then.
  void emit_replaced(Effects& effects);
  // How many windowed rules have readings set aside, each by name.
  [[nodiscard]] std::vector<std::string> replaced_rules() const;

  [[nodiscard]] const RuleSet& rules() const { return *rules_; }
  // `rule` is a Rule::index.
  [[nodiscard]] const RuleCounters& counters(size_t rule) const { return *states_[rule].counters; }

 private:
  struct State {
    std::unique_ptr<RuleCounters> counters;
    std::optional<TumblingWindow> window;  // where the rule has one
  };

  // The open windows of a rule that is no longer there.
  struct Replaced {
    std::shared_ptr<const RuleSet> rules;  // keeps `rule`
    const Rule* rule;
    TumblingWindow window;
  };

  static State make_state(const Rule& rule);
  void evaluate_rule(const Rule& rule, const Message& message, Effects& effects);
  void extract(const FieldTree& fields, const Message& message);
  void gather(const Rule& rule, const WindowPlan& plan, const Message& message, const MessageContext& context,
              Effects& effects);
  void emit(const Rule& rule, const WindowPlan& plan, const std::vector<TumblingWindow::Closed>& windows,
            Effects& effects);
  void emit_group(const Rule& rule, const WindowPlan& plan, int64_t start_us, const TumblingWindow::Group& group,
                  Effects& effects);
  void perform(const Row& row, Effects& effects);
  // Where a rule's counts go; null for one that was replaced and has no successor of its name.
  [[nodiscard]] RuleCounters* counters_of(const Rule& rule);
  void compute_columns(const Rule& rule, const MessageContext& context);

  std::shared_ptr<const RuleSet> rules_;  // shared with the other loops
  std::vector<State> states_;             // by Rule::index
  std::vector<Replaced> replaced_;        // until emit_replaced()

  // Room that is used again for each message.
  std::vector<uint32_t> matched_;
  Document document_;
  bool document_is_parsed_ = false;
  Machine machine_;
  std::vector<Value> slots_;
  std::vector<Value> columns_;
  RowActions actions_;
  bool is_evaluating_ = false;
};

}  // namespace verge::rules
