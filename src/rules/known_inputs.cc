#include "rules/known_inputs.h"

namespace verge::rules {

KnownInputs::Source& KnownInputs::source_of(std::string_view name) {
  const auto known = places_.find(name);
  if (known != places_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, known->second);
    return by_use_.front();
  }
  if (by_use_.size() == kSourcesMax) {
    places_.erase(by_use_.back().name);
    by_use_.pop_back();
  }
  by_use_.push_front({std::string(name), {}});
  places_.emplace(by_use_.front().name, by_use_.begin());
  return by_use_.front();
}

bool KnownInputs::enter(std::string_view name, uint64_t sequence) {
  Source& source = source_of(name);
  if (!source.taken.insert(sequence)) return false;
  while (source.taken.intervals().size() > kStretchesMax) source.taken.erase(source.taken.intervals().front());
  return true;
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
    for (uint64_t stretches = in.varint(); stretches > 0 && in.ok(); --stretches) {
      const uint64_t begin = in.varint();
      const uint64_t end = in.varint();
      if (begin >= end) return false;
      source.taken.insert(IntervalSet::Interval{begin, end});
    }
  }
  return in.ok();
}

}  // namespace verge::rules
