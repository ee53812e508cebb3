// The frames of a segment (docs/formats/log.md): how one is written, and found again in a file that may be damaged.
// What is in a body is not looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "storage/file_system.h"

namespace verge::storage {

inline constexpr size_t kFrameHeaderBytes = 32;
inline constexpr size_t kFrameAlignment = 16;
inline constexpr size_t kFrameBytesMax = 32U << 20;  // of a body, as it is stored

struct FrameView {
  uint64_t first_sequence = 0;
  uint32_t count = 0;  // sequences first_sequence .. first_sequence + count - 1
  uint32_t stamp = 0;  // as given to append()
  std::string_view body;
};

// What so many bytes take up in a segment.
constexpr size_t frame_aligned(size_t bytes) {
  return (bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
}

// What follows the last frame, where there is room for another: no frame begins like this.
inline std::string end_mark() { return std::string(kFrameHeaderBytes, '\0'); }

// `frame`: kFrameHeaderBytes of room, and the body. All of the header but the checksum.
void write_frame_header(std::string& frame, uint64_t first_sequence, uint32_t count, uint32_t stamp, uint64_t salt);
// The last step: over header and body as they are.
void write_frame_checksum(std::string& frame, uint64_t salt);

enum class FrameState { kGood, kNone, kBad };  // kNone: zeros or the end of the file, as after the last frame

// Reads the frame at `offset` into `scratch`; `view` points there.
Result<FrameState> read_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch, FrameView& view);

// Looks for a good frame after a bad one at `offset`, and reads it. Nothing when there is none.
Result<std::optional<uint64_t>> next_good_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch,
                                                FrameView& view);

// The sequence after the last one that frames from `offset` on had, by what their headers say, whatever their checksums
// do: what was lost where frames cannot be read. `expected`, the sequence after the last good frame, when the first of
// these headers is damaged too.
Result<uint64_t> claimed_end(File& file, uint64_t offset, uint64_t expected);

}  // namespace verge::storage
