#include "node/rule_restoration.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "model/event.h"

namespace verge::node {

std::string remembered_source(const RuleLayout& layout, size_t loop, const rules::Rule& rule, size_t upload) {
  return fmt::format("r{:016x}.{}\n{}\n{}", layout.epoch, loop, rule.name, upload);
}

namespace {

// Adds what `from` remembers of the keys that the loop owns to `into`.
bool spread(const rules::Rule& rule, const rules::Memory& from, size_t loop, size_t loops, rules::Memory& into) {
  std::string bytes;
  from.append_to(bytes);
  ByteReader reader(bytes);
  const bool is_on_one_loop = rule.memory_plan().is_on_one_loop;
  return into.read(reader, [&](std::string_view key) {
    return hash64(is_on_one_loop ? std::string_view{} : key, rule.identity) % loops == loop;
  });
}

}  // namespace

Result<void> RuleRestoration::restore(RuleJournal& journal) {
  is_whole_.assign(1, journal.is_whole());  // the loops of no layout
  return journal.replay([this](const RuleJournal::Place& place) { begin(place); },
                        [this](const RuleRecord& record) { take(record); });
}

RuleLayout RuleRestoration::layout_for(size_t loops) const {
  if (layout_.loops == loops) return layout_;
  return {.epoch = system_seed(), .loops = static_cast<uint32_t>(loops)};
}

void RuleRestoration::change_layout(const RuleLayout& layout) {
  align_times();
  const std::vector<std::unique_ptr<rules::Evaluator>> before = std::exchange(loops_, {});
  for (size_t loop = 0; loop < layout.loops; ++loop) {
    rules::Evaluator& evaluator = *loops_.emplace_back(std::make_unique<rules::Evaluator>(rules_, budget_));
    for (const auto& old : before) {
      for (const rules::Rule& rule : rules_->rules()) {
        if (!rule.memory) continue;
        if (!spread(rule, *old->memory(rule.index), loop, layout.loops, *evaluator.memory(rule.index))) {
          log_error("rules", "some of what rule {} remembered is lost", rule.name);
        }
      }
    }
  }
  layout_ = layout;
  is_whole_.assign(layout.loops, std::ranges::all_of(is_whole_, std::identity()));
}

// What is to become one memory must have come as far in time: a window that one loop has emitted and another has not
// would be neither.
void RuleRestoration::align_times() {
  for (const rules::Rule& rule : rules_->rules()) {
    if (!rule.memory || loops_.empty()) continue;
    int64_t reached_us = INT64_MIN;
    for (const auto& loop : loops_) reached_us = std::max(reached_us, loop->memory(rule.index)->reached_us());
    for (loop_ = 0; loop_ < loops_.size(); ++loop_) loops_[loop_]->reach(rule, reached_us, *this);
  }
}

void RuleRestoration::begin(const RuleJournal::Place& place) {
  if (layout_ != place.layout) change_layout(place.layout);
  loop_ = place.loop;
  if (!place.is_snapshot) return;
  loops_[loop_] = std::make_unique<rules::Evaluator>(rules_, budget_);
  is_whole_[loop_] = true;
}

void RuleRestoration::take(const RuleRecord& record) {
  ++records_;
  rules::Evaluator& evaluator = *loops_[loop_];
  const rules::Rule* rule = rules_->find(record.rule);
  if (rule == nullptr || !rule->memory) return;  // it was changed or taken out
  ByteReader reader(record.bytes);
  if (record.kind == RuleRecord::Kind::kState) {
    const bool is_good = evaluator.memory(rule->index)->read(reader, [](std::string_view) { return true; });
    if (!is_good) begin_anew(*rule, evaluator);
  } else if (record.kind == RuleRecord::Kind::kAdvance) {
    evaluator.advance(*rule, {record.now_us}, *this);
  } else if (const std::optional<rules::RuleInput> input = rules::read_input(reader)) {
    evaluator.accept(*input, {record.now_us}, *this);
  }
}

// A rule that forgets is less than a node that does not start.
void RuleRestoration::begin_anew(const rules::Rule& rule, rules::Evaluator& evaluator) {
  log_error("rules", "{}",
            fail("rules.state", fmt::format("what rule {} remembered cannot be read, and it begins anew", rule.name),
                 "look whether the disk has errors")
                .error()
                .line());
  evaluator.forget(rule.index);
}

void RuleRestoration::give(const RuleLayout& layout, size_t loop, WallTime now, rules::Evaluator& evaluator) {
  if (layout_.loops == 0) return;
  if (layout_ != layout) change_layout(layout);
  for (const rules::Rule& rule : rules_->rules()) {
    if (!rule.memory) continue;
    std::string bytes;
    loops_[loop]->memory(rule.index)->append_to(bytes);
    ByteReader reader(bytes);
    if (!evaluator.memory(rule.index)->read(reader, [](std::string_view) { return true; })) {
      begin_anew(rule, evaluator);
    }
    evaluator.memory(rule.index)->note_restart(now.microseconds);
  }
  loops_[loop].reset();
}

void RuleRestoration::begin_row(const rules::Rule&, uint64_t number) {
  row_ = number;
  uploads_of_row_ = 0;
}

void RuleRestoration::upload(const rules::Rule& rule, EventKind kind, Priority priority, std::string_view topic,
                             std::string_view device, Payload payload, WallTime time) {
  if (!is_whole_[loop_]) return;
  spool::Submission::Item& item = uploads_.emplace_back();
  item.priority = priority;
  item.source = remembered_source(layout_, loop_, rule, uploads_of_row_++);
  item.source_sequence = row_;
  append_event(item.event, {.kind = kind, .time = time, .topic = topic, .device = device, .payload = payload.view()});
}

}  // namespace verge::node
