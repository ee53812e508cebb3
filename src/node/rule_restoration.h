// RuleRestoration: what rules remembered before the node ended, however it ended, taken again from the journal.
//
// For each loop that there was, an evaluator of its own takes that loop's records in their order. Uploads that come of
// it are gathered with the same sources and numbers as the first time, so that the spool knows those it has; everything
// else that rules do was done then. Where the number of loops changed, what is remembered is spread anew.
//
// What the journal begins with may be records whose state of before is gone, as they and all that came of them are done
// with. Rows that they make here are not those of the first time, and are left out.
#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "node/rule_journal.h"
#include "rules/effects.h"
#include "rules/evaluator.h"
#include "spool/spool.h"

namespace verge::node {

// What names the uploads of rules that remember, in the spool's ledger: of that layout's loop and rule, the n-th of a
// row.
std::string remembered_source(const RuleLayout& layout, size_t loop, const rules::Rule& rule, size_t upload);

class RuleRestoration final : private rules::Effects {
 public:
  // `budget` outlives it.
  RuleRestoration(std::shared_ptr<const rules::RuleSet> rules, rules::MemoryBudget& budget)
      : rules_(std::move(rules)), budget_(budget) {}

  // Takes what the journal holds.
  Result<void> restore(RuleJournal& journal);
  // The layout for that many loops from now on: the last, where it had as many.
  [[nodiscard]] RuleLayout layout_for(size_t loops) const;
  // Gives what belongs to that loop to its evaluator, which has nothing yet.
  void give(const RuleLayout& layout, size_t loop, WallTime now, rules::Evaluator& evaluator);
  // Uploads that may not have been stored.
  [[nodiscard]] std::vector<spool::Submission::Item> take_uploads() { return std::move(uploads_); }
  [[nodiscard]] uint64_t records() const { return records_; }

 private:
  void publish(const rules::Rule&, std::string_view, std::string_view, Payload, uint8_t, bool) override {}
  void upload(const rules::Rule& rule, EventKind kind, Priority priority, std::string_view topic,
              std::string_view device, Payload payload, WallTime time) override;
  void drop(const rules::Rule&) override {}
  void purge(const rules::Rule&, rules::PurgeScope, std::string_view, bool) override {}
  void webhook(const rules::Rule&, const rules::WebhookAction&, Payload, bool) override {}
  void begin_row(const rules::Rule& rule, uint64_t number) override;
  void hand_over(rules::RuleInput) override {}

  void begin(const RuleJournal::Place& place);
  void take(const RuleRecord& record);
  static void begin_anew(const rules::Rule& rule, rules::Evaluator& evaluator);
  void align_times();
  // One evaluator a loop of the layout, with what those of the one before remembered.
  void change_layout(const RuleLayout& layout);

  std::shared_ptr<const rules::RuleSet> rules_;
  rules::MemoryBudget& budget_;
  RuleLayout layout_;  // without loops: nothing was recorded
  std::vector<std::unique_ptr<rules::Evaluator>> loops_;
  std::vector<bool> is_whole_;  // by loop: its evaluator has all that was remembered there
  size_t loop_ = 0;             // whose records are taken
  uint64_t row_ = 0;
  size_t uploads_of_row_ = 0;
  std::vector<spool::Submission::Item> uploads_;
  uint64_t records_ = 0;
};

}  // namespace verge::node
