// The header of a segment file (docs/formats/log.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "storage/file_system.h"
#include "storage/key_ring.h"

namespace verge::storage {

inline constexpr size_t kSegmentHeaderCopyBytes = 64;
// Two copies: the header has the salt without which no frame of its segment is known from garbage.
inline constexpr size_t kSegmentHeaderBytes = 2 * kSegmentHeaderCopyBytes;

struct SegmentHeader {
  uint64_t first_sequence = 0;
  uint64_t salt = 0;          // random, of this life of the file
  uint64_t previous_end = 0;  // frames of the segment before that begin here or later are void
  KeyId key = 0;              // 0: not encrypted
  uint64_t more_salt = 0;     // random; only with a key

  // kSegmentHeaderBytes: both copies.
  [[nodiscard]] std::string bytes() const;
  // What the segment's own key is derived with: all of a copy but its checksum.
  [[nodiscard]] std::string key_salt() const;
};

// From the first copy that is intact; nothing when none is, an error when they cannot be read.
Result<std::optional<SegmentHeader>> read_segment_header(File& file);

}  // namespace verge::storage
