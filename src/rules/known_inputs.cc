#include "rules/known_inputs.h"

namespace verge::rules {

KnownInputs::Source& KnownInputs::source_of(std::string_view name) {
  const auto known = places_.find(name);
  if (known != places_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, known->second);
    return by_use_.front();
  }
  if (by_use_.size() == kSourcesMax) forget_last();
  by_use_.push_front({std::string(name), {}});
  places_.emplace(by_use_.front().name, by_use_.begin());
  return by_use_.front();
}

bool KnownInputs::enter(std::string_view name, uint64_t sequence) {
  Source& source = source_of(name);
  const size_t before = source.taken.intervals().size();
  if (!source.taken.insert(sequence)) return false;
  keep_bounds(source, before);
  return true;
}

void KnownInputs::forget_last() {
  stretches_ -= by_use_.back().taken.intervals().size();
  places_.erase(by_use_.back().name);
  by_use_.pop_back();
}

// The source is the one that was used last.
void KnownInputs::keep_bounds(Source& source, size_t stretches_before) {
  const std::vector<IntervalSet::Interval>& stretches = source.taken.intervals();
  if (stretches.size() > kStretchesMax) source.taken.erase({0, stretches[kStretchesMax / 4].begin});
  stretches_ = stretches_ - stretches_before + stretches.size();
  while (stretches_ > kStretchesTotalMax && by_use_.size() > 1) forget_last();
}

void KnownInputs::append_to(std::string& out) const {
  append_varint(out, by_use_.size());
  for (auto source = by_use_.rbegin(); source != by_use_.rend(); ++source) {
    append_sized(out, source->name);
    append_varint(out, source->taken.intervals().size());
    for (const IntervalSet::Interval& stretch : source->taken.intervals()) {
      append_varint(out, stretch.begin);
      append_varint(out, stretch.end);
    }
  }
}

bool KnownInputs::read(ByteReader& in) {
  for (uint64_t sources = in.varint(); sources > 0 && in.ok(); --sources) {
    Source& source = source_of(in.sized());
    const size_t before = source.taken.intervals().size();
    for (uint64_t stretches = in.varint(); stretches > 0 && in.ok(); --stretches) {
      const uint64_t begin = in.varint();
      const uint64_t end = in.varint();
      if (begin >= end) {
        keep_bounds(source, before);
        return false;
      }
      source.taken.insert(IntervalSet::Interval{begin, end});
    }
    keep_bounds(source, before);
  }
  return in.ok();
}

}  // namespace verge::rules
