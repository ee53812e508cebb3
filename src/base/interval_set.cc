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

void IntervalSet::erase(uint64_t value) {
  const auto found = std::ranges::upper_bound(intervals_, value, {}, &Interval::end);
  if (found == intervals_.end() || found->begin > value) return;
  const Interval whole = *found;
  const auto place = intervals_.erase(found);
  auto after = place;
  if (value + 1 < whole.end) after = intervals_.insert(after, {value + 1, whole.end});
  if (whole.begin < value) intervals_.insert(after, {whole.begin, value});
}

bool IntervalSet::contains(uint64_t value) const {
  const auto found = std::ranges::upper_bound(intervals_, value, {}, &Interval::end);
  return found != intervals_.end() && found->begin <= value;
}

}  // namespace verge
