#include "spool/ledger.h"

#include <algorithm>

#include "base/bytes.h"
#include "model/event.h"

namespace verge::spool {
namespace {

constexpr std::string_view kMagic = "VERGELG1";

}  // namespace

IntervalSet& Ledger::seen_of(std::string_view source) {
  Group& group = group_of(source);
  if (const auto found = entries_.find(source); found != entries_.end()) {
    group.by_use.splice(group.by_use.begin(), group.by_use, found->second);
    return found->second->seen;
  }
  if (group.by_use.size() >= sources_max_ && !group.by_use.empty()) forget_longest_unused(group);
  group.by_use.push_front({std::string(source), {}});
  entries_.emplace(group.by_use.front().name, group.by_use.begin());
  return group.by_use.front().seen;
}

void Ledger::change(std::string_view source, const std::function<void(IntervalSet& seen)>& change) {
  IntervalSet& seen = seen_of(source);
  const size_t before = seen.intervals().size();
  change(seen);
  Group& group = group_of(source);
  group.stretches = group.stretches - before + seen.intervals().size();
}

void Ledger::forget_longest_unused(Group& group) {
  const Source& last = group.by_use.back();
  group.stretches -= last.seen.intervals().size();
  entries_.erase(last.name);
  group.by_use.pop_back();
}

// Of one whose numbers may have gaps for good: to refuse it would be for good too. To take a number that is new for a
// known one would lose it.
void Ledger::make_room_for_stretch(std::string_view device) {
  const auto forget_lowest = [&] { change(device, [](IntervalSet& seen) { seen.erase(seen.intervals().front()); }); };
  const IntervalSet& seen = seen_of(device);
  if (seen.intervals().size() >= kIntervalsMax) forget_lowest();
  while (others_.stretches >= stretches_max_ && others_.by_use.size() > 1) forget_longest_unused(others_);
  if (others_.stretches >= stretches_max_ && !seen.intervals().empty()) forget_lowest();
}

Ledger::Entry Ledger::enter(std::string_view source, uint64_t sequence) {
  if (sequence > kSourceSequenceMax) return Entry::kTooManyHoles;
  const IntervalSet& seen = seen_of(source);
  if (seen.contains(sequence)) return Entry::kKnown;
  if (!seen.contains(sequence + 1) && (sequence == 0 || !seen.contains(sequence - 1))) {
    if (!is_child(source)) {
      make_room_for_stretch(source);
    } else if (seen.intervals().size() >= kIntervalsMax || children_.stretches >= stretches_max_) {
      return Entry::kTooManyHoles;
    }
  }
  change(source, [&](IntervalSet& its) { its.insert(sequence); });
  return Entry::kNew;
}

bool Ledger::contains(std::string_view source, uint64_t sequence) const {
  const auto found = entries_.find(source);
  return found != entries_.end() && found->second->seen.contains(sequence);
}

void Ledger::withdraw(std::string_view source, uint64_t sequence) {
  change(source, [&](IntervalSet& seen) { seen.erase(sequence); });
}

void Ledger::raise_floor(std::string_view source, uint64_t floor) {
  change(source, [&](IntervalSet& seen) { seen.raise_floor(floor); });
}

size_t Ledger::intervals_most() const {
  size_t most = 0;
  for (const Group* group : {&children_, &others_}) {
    for (const Source& source : group->by_use) most = std::max(most, source.seen.intervals().size());
  }
  return most;
}

void Ledger::write(std::string& out) const {
  append_varint(out, entries_.size());
  for (const Group* group : {&children_, &others_}) {
    for (auto source = group->by_use.rbegin(); source != group->by_use.rend(); ++source) {
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
    const std::string_view source = reader.sized();
    const uint64_t intervals = reader.varint();
    change(source, [&](IntervalSet& seen) {
      for (uint64_t k = 0; k < intervals && reader.ok(); ++k) {
        const uint64_t begin = reader.varint();
        seen.insert({begin, begin + reader.varint()});
      }
    });
  }
  return reader.ok() && reader.empty();
}

std::string ledger_file(const LedgerCoverage& covered, const Ledger& ledger) {
  std::string content(kMagic);
  for (const uint64_t sequence : covered) append_fixed(content, sequence);
  ledger.write(content);
  append_fixed(content, hash64(content));
  return content;
}

std::optional<LedgerCoverage> read_ledger_file(std::string_view content, Ledger& into) {
  if (content.size() < kMagic.size() + sizeof(uint64_t)) return std::nullopt;
  const std::string_view body = content.substr(0, content.size() - sizeof(uint64_t));
  ByteReader check(content.substr(body.size()));
  if (check.fixed<uint64_t>() != hash64(body) || !body.starts_with(kMagic)) return std::nullopt;
  ByteReader reader(body.substr(kMagic.size()));
  LedgerCoverage covered{};
  for (uint64_t& sequence : covered) sequence = reader.fixed<uint64_t>();
  if (!reader.ok() || !into.read(reader.rest())) return std::nullopt;
  return covered;
}

}  // namespace verge::spool
