// Cursors: what the parent has of each stream, and the age clock, as they are kept in the file `cursors`
// (docs/formats/spool.md). Two slots are written in turn; the sound one with the higher generation counts.
//
//   "VERGECR2" | generation u64 | age u32 | for each stream: interval count, then begin and length of each (varints) |
//   zeros | checksum u64
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/interval_set.h"
#include "model/priority.h"
#include "storage/file_system.h"

namespace verge::spool {

struct Cursors {
  static constexpr size_t kSlotBytes = 4096;
  // A slot has room for so many stretches of each stream; what is beyond is sent again after a start.
  static constexpr size_t kIntervalsMax = 48;

  uint64_t generation = 0;
  uint32_t age_s = 0;
  std::array<IntervalSet, kPriorities.size()> delivered;

  [[nodiscard]] std::string slot() const;

  static std::string path(const std::string& spool_directory) { return spool_directory + "/cursors"; }
  // Nothing when there is no sound slot.
  static std::optional<Cursors> read(storage::FileSystem& file_system, const std::string& spool_directory);
};

}  // namespace verge::spool
