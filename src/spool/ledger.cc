#include "spool/ledger.h"

#include <algorithm>

#include "base/bytes.h"

namespace verge::spool {
namespace {

constexpr uint64_t kSequenceMax = 1ULL << 62;

}  // namespace

IntervalSet& Ledger::seen_of(std::string_view source) {
  std::list<Source>& by_use = is_device(source) ? devices_ : children_;
  if (const auto found = entries_.find(source); found != entries_.end()) {
    by_use.splice(by_use.begin(), by_use, found->second);
    return found->second->seen;
  }
  if (by_use.size() >= sources_max_ && !by_use.empty()) {
    entries_.erase(by_use.back().name);
    by_use.pop_back();
  }
  by_use.push_front({std::string(source), {}});
  entries_.emplace(by_use.front().name, by_use.begin());
  return by_use.front().seen;
}

Ledger::Entry Ledger::enter(std::string_view source, uint64_t sequence) {
  if (sequence > kSequenceMax) return Entry::kTooManyHoles;
  IntervalSet& seen = seen_of(source);
  if (seen.contains(sequence)) return Entry::kKnown;
  if (seen.intervals().size() >= kIntervalsMax && !seen.contains(sequence + 1) &&
      (sequence == 0 || !seen.contains(sequence - 1))) {
    if (!is_device(source)) return Entry::kTooManyHoles;
    // Its numbers may have gaps for good. To take one that is new for a known one would lose it.
    seen.erase(seen.intervals().front());
  }
  seen.insert(sequence);
  return Entry::kNew;
}

bool Ledger::contains(std::string_view source, uint64_t sequence) const {
  const auto found = entries_.find(source);
  return found != entries_.end() && found->second->seen.contains(sequence);
}

void Ledger::withdraw(std::string_view source, uint64_t sequence) { seen_of(source).erase(sequence); }

void Ledger::raise_floor(std::string_view source, uint64_t floor) { seen_of(source).raise_floor(floor); }

size_t Ledger::intervals_most() const {
  size_t most = 0;
  for (const std::list<Source>* sources : {&children_, &devices_}) {
    for (const Source& source : *sources) most = std::max(most, source.seen.intervals().size());
  }
  return most;
}

void Ledger::write(std::string& out) const {
  append_varint(out, entries_.size());
  for (const std::list<Source>* by_use : {&children_, &devices_}) {
    for (auto source = by_use->rbegin(); source != by_use->rend(); ++source) {
      append_sized(out, source->name);
      append_varint(out, source->seen.intervals().size());
      for (const auto& [begin, end] : source->seen.intervals()) {
        append_varint(out, begin);
        append_varint(out, end - begin);
      }
    }
  }
}

bool Ledger::read(std::string_view bytes) {
  ByteReader reader(bytes);
  const uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    IntervalSet& seen = seen_of(reader.sized());
    const uint64_t intervals = reader.varint();
    for (uint64_t k = 0; k < intervals && reader.ok(); ++k) {
      const uint64_t begin = reader.varint();
      seen.insert({begin, begin + reader.varint()});
    }
  }
  return reader.ok() && reader.empty();
}

}  // namespace verge::spool
