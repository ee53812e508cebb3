#include "spool/awaited_deliveries.h"

namespace verge::spool {

void AwaitedDeliveries::enter(const Wait& wait, const std::vector<Record>& records) {
  const std::lock_guard lock(mutex_);
  wait->missing_ = 1;  // until all are entered
  for (const Record& record : records) {
    if (record.is_repetition && record.delivered_through >= record.sequence) continue;
    (record.is_repetition ? repetitions_ : records_)[static_cast<size_t>(record.stream)].emplace(record.sequence, wait);
    wait->places_.push_back(
        {.is_repetition = record.is_repetition, .stream = record.stream, .sequence = record.sequence});
    ++wait->missing_;
    ++count_;
  }
  one_less(*wait);
}

void AwaitedDeliveries::one_less(DeliveryWait& wait) {
  if (--wait.missing_ == 0) wait.loop_.post(std::move(wait.done_));
}

void AwaitedDeliveries::forget(const Wait& wait) {
  const std::lock_guard lock(mutex_);
  for (const DeliveryWait::Place& place : std::exchange(wait->places_, {})) {
    Waits& waits = (place.is_repetition ? repetitions_ : records_)[static_cast<size_t>(place.stream)];
    const auto [from, to] = waits.equal_range(place.sequence);
    for (auto each = from; each != to; ++each) {
      if (each->second != wait) continue;
      waits.erase(each);
      --count_;
      break;
    }
  }
}

void AwaitedDeliveries::found(Waits& waits, Waits::iterator from, Waits::iterator to) {
  for (auto each = from; each != to; ++each) {
    --count_;
    one_less(*each->second);
  }
  waits.erase(from, to);
}

void AwaitedDeliveries::confirmed(Priority stream, IntervalSet::Interval sequences) {
  const std::lock_guard lock(mutex_);
  Waits& waits = records_[static_cast<size_t>(stream)];
  found(waits, waits.lower_bound(sequences.begin), waits.lower_bound(sequences.end));
}

void AwaitedDeliveries::delivered_through(Priority stream, uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  Waits& waits = repetitions_[static_cast<size_t>(stream)];
  found(waits, waits.begin(), waits.upper_bound(sequence));
}

}  // namespace verge::spool
