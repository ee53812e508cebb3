#include "node/parent_waits.h"

#include <algorithm>
#include <utility>

namespace verge::node {

ParentWaits::Opened ParentWaits::open(const DurabilityClass& demanded, Answer answer) {
  const uint64_t number = next_number_++;
  auto marker = std::make_shared<spool::DeliveryWait>(loop_, [this, number] { confirm(number); });
  const bool is_entered = waiting_.size() < kMost && !is_stopped_;
  waiting_.emplace(number, Waiting{.marker = marker,
                                   .at_bound = demanded.at_bound,
                                   .bound = demanded.wait,
                                   .is_entered = is_entered,
                                   .due = due_.end(),
                                   .answer = std::move(answer)});
  return {.number = number, .marker = is_entered ? std::move(marker) : nullptr};
}

// The parent may have been faster than the word that they are durable here.
void ParentWaits::confirm(uint64_t number) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  found->second.is_confirmed = true;
  if (found->second.is_stored) end(number, /*at_parent=*/true);
}

void ParentWaits::stored(uint64_t number, bool are_all_kept) {
  Waiting& its = waiting_.find(number)->second;
  its.is_stored = true;
  if (!are_all_kept || !its.is_entered) return end(number, /*at_parent=*/false);
  if (its.is_confirmed) return end(number, /*at_parent=*/true);
  if (is_stopped_) return end(number, /*at_parent=*/false);
  its.due = due_.emplace(loop_.now() + its.bound, number);
  if (its.due == due_.begin()) watch();
}

void ParentWaits::drop(uint64_t number) {
  const auto found = waiting_.find(number);
  awaited_.forget(found->second.marker);
  short_of_parent_.add();
  waiting_.erase(found);
}

void ParentWaits::end(uint64_t number, bool at_parent) {
  const auto found = waiting_.find(number);
  const Waiting its = std::move(found->second);
  if (its.due != due_.end()) due_.erase(its.due);
  waiting_.erase(found);
  if (!at_parent) awaited_.forget(its.marker);
  (at_parent ? at_parent_ : short_of_parent_).add();
  its.answer(at_parent, !at_parent && its.at_bound == DurabilityClass::AtBound::kRefuse);
}

void ParentWaits::watch() {
  if (due_.empty()) return timer_.cancel();
  const Duration left = std::max(due_.begin()->first - loop_.now(), Duration(0));
  timer_.after(left, [this] {
    while (!due_.empty() && due_.begin()->first <= loop_.now()) end(due_.begin()->second, /*at_parent=*/false);
    watch();
  });
}

void ParentWaits::stop() {
  is_stopped_ = true;
  while (!due_.empty()) end(due_.begin()->second, /*at_parent=*/false);
}

}  // namespace verge::node
