#include "base/interval_set.h"

#include <algorithm>

namespace verge {

bool IntervalSet::insert(uint64_t value) {
  // In order is the common case.
  if (!intervals_.empty() && intervals_.back().end == value) {
    ++intervals_.back().end;
    return true;
  }
  if (contains(value)) return false;
  insert({value, value + 1});
  return true;
}

void IntervalSet::insert(Interval added) {
  if (added.begin >= added.end) return;
  // Those that touch the new one are absorbed by it.
  const auto first = std::ranges::lower_bound(intervals_, added.begin, {}, &Interval::end);
  auto last = first;
  for (; last != intervals_.end() && last->begin <= added.end; ++last) {
    added.begin = std::min(added.begin, last->begin);
    added.end = std::max(added.end, last->end);
  }
  const auto place = intervals_.erase(first, last);
  intervals_.insert(place, added);
}

void IntervalSet::erase(Interval removed) {
  if (removed.begin >= removed.end) return;
  auto place = std::ranges::upper_bound(intervals_, removed.begin, {}, &Interval::end);
  while (place != intervals_.end() && place->begin < removed.end) {
    const Interval whole = *place;
    place = intervals_.erase(place);
    if (whole.begin < removed.begin) place = std::next(intervals_.insert(place, {whole.begin, removed.begin}));
    if (removed.end < whole.end) place = std::next(intervals_.insert(place, {removed.end, whole.end}));
  }
}

IntervalSet::Interval IntervalSet::first_gap(uint64_t from, uint64_t end) const {
  auto next = std::ranges::upper_bound(intervals_, from, {}, &Interval::end);
  if (next != intervals_.end() && next->begin <= from) {
    from = next->end;
    ++next;
  }
  if (next != intervals_.end()) end = std::min(end, next->begin);
  return from < end ? Interval{from, end} : Interval{from, from};
}

uint64_t IntervalSet::missing(uint64_t from, uint64_t end) const {
  uint64_t count = 0;
  while (from < end) {
    const Interval gap = first_gap(from, end);
    count += gap.end - gap.begin;
    if (gap.begin == gap.end) break;
    from = gap.end;
  }
  return count;
}

bool IntervalSet::contains(uint64_t value) const {
  const auto found = std::ranges::upper_bound(intervals_, value, {}, &Interval::end);
  return found != intervals_.end() && found->begin <= value;
}

}  // namespace verge
