#include "spool/cursors.h"

#include <algorithm>
#include <span>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

namespace verge::spool {
namespace {

constexpr std::string_view kMagic = "VERGECR2";

std::optional<Cursors> parse(std::string_view slot) {
  ByteReader check(slot.substr(Cursors::kSlotBytes - sizeof(uint64_t)));
  if (check.fixed<uint64_t>() != hash64(slot.substr(0, Cursors::kSlotBytes - sizeof(uint64_t)))) return std::nullopt;
  ByteReader reader(slot);
  if (reader.bytes(kMagic.size()) != kMagic) return std::nullopt;
  Cursors cursors;
  cursors.generation = reader.fixed<uint64_t>();
  cursors.age_s = reader.fixed<uint32_t>();
  for (IntervalSet& delivered : cursors.delivered) {
    const uint64_t count = reader.varint();
    for (uint64_t i = 0; i < count && reader.ok(); ++i) {
      const uint64_t begin = reader.varint();
      const uint64_t length = reader.varint();
      if (length > UINT64_MAX - begin) return std::nullopt;
      delivered.insert({begin, begin + length});
    }
  }
  if (!reader.ok()) return std::nullopt;
  return cursors;
}

}  // namespace

std::string Cursors::slot() const {
  std::string bytes(kMagic);
  append_fixed(bytes, generation);
  append_fixed(bytes, age_s);
  for (const IntervalSet& set : delivered) {
    const size_t count = std::min(set.intervals().size(), kIntervalsMax);
    append_varint(bytes, count);
    for (const IntervalSet::Interval& interval : std::span(set.intervals()).first(count)) {
      append_varint(bytes, interval.begin);
      append_varint(bytes, interval.end - interval.begin);
    }
  }
  VERGE_ASSERT(bytes.size() + sizeof(uint64_t) <= kSlotBytes);
  bytes.resize(kSlotBytes - sizeof(uint64_t), '\0');
  append_fixed(bytes, hash64(bytes));
  return bytes;
}

std::optional<Cursors> Cursors::read(storage::FileSystem& file_system, const std::string& spool_directory) {
  const Result<std::string> content = file_system.read_file(path(spool_directory), 2 * kSlotBytes);
  if (!content) return std::nullopt;
  std::optional<Cursors> newest;
  for (size_t at = 0; at + kSlotBytes <= content->size(); at += kSlotBytes) {
    std::optional<Cursors> found = parse(std::string_view(*content).substr(at, kSlotBytes));
    if (found && (!newest || found->generation > newest->generation)) newest = std::move(found);
  }
  return newest;
}

}  // namespace verge::spool
