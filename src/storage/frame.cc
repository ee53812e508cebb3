#include "storage/frame.h"

#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"

namespace verge::storage {
namespace {

constexpr uint16_t kFrameMagic = 0x4656;  // "VF"

// Of the header alone. Whoever writes a record does not know the salt: text that looks like a header, of a frame as
// long as may be, is not followed for each of its bytes when a frame is searched.
uint16_t header_check(std::string_view header, uint64_t salt) {
  return static_cast<uint16_t>(hash64(header.substr(12, kFrameHeaderBytes - 12), salt));
}

struct FrameHeader {
  uint64_t checksum = 0;
  uint16_t magic = 0;
  uint16_t check = 0;
  uint32_t body_bytes = 0;
  uint32_t count = 0;
  uint32_t stamp = 0;
  uint64_t first_sequence = 0;

  [[nodiscard]] bool is_possible() const { return magic == kFrameMagic && body_bytes <= kFrameBytesMax && count != 0; }
};

FrameHeader read_frame_header(std::string_view bytes) {
  ByteReader reader(bytes);
  FrameHeader header;
  header.checksum = reader.fixed<uint64_t>();
  header.magic = reader.fixed<uint16_t>();
  header.check = reader.fixed<uint16_t>();
  header.body_bytes = reader.fixed<uint32_t>();
  header.count = reader.fixed<uint32_t>();
  header.stamp = reader.fixed<uint32_t>();
  header.first_sequence = reader.fixed<uint64_t>();
  return header;
}

}  // namespace

// checksum u64 | magic u16 | check u16 | body bytes u32 | count u32 | stamp u32 | first sequence u64 | body
void write_frame_header(std::string& frame, uint64_t first_sequence, uint32_t count, uint32_t stamp, uint64_t salt) {
  write_fixed_at(frame, 8, kFrameMagic);
  write_fixed_at(frame, 12, static_cast<uint32_t>(frame.size() - kFrameHeaderBytes));
  write_fixed_at(frame, 16, count);
  write_fixed_at(frame, 20, stamp);
  write_fixed_at(frame, 24, first_sequence);
  write_fixed_at(frame, 10, header_check(frame, salt));
}

void write_frame_checksum(std::string& frame, uint64_t salt) {
  write_fixed_at(frame, 0, hash64(std::string_view(frame).substr(sizeof(uint64_t)), salt));
}

Result<FrameState> read_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch, FrameView& view) {
  scratch.resize(kFrameHeaderBytes);
  const Result<size_t> got = file.salvage_at(offset, scratch.data(), scratch.size());
  if (!got) return std::unexpected(got.error());
  if (*got < kFrameHeaderBytes) return FrameState::kNone;
  if (scratch.find_first_not_of('\0') == std::string::npos) return FrameState::kNone;
  const FrameHeader header = read_frame_header(scratch);
  if (!header.is_possible() || header.check != header_check(scratch, salt)) return FrameState::kBad;
  view.count = header.count;
  view.stamp = header.stamp;
  view.first_sequence = header.first_sequence;
  scratch.resize(kFrameHeaderBytes + header.body_bytes);
  const Result<size_t> body =
      file.salvage_at(offset + kFrameHeaderBytes, scratch.data() + kFrameHeaderBytes, header.body_bytes);
  if (!body) return std::unexpected(body.error());
  if (*body != header.body_bytes) return FrameState::kBad;
  const std::string_view whole = scratch;
  if (hash64(whole.substr(sizeof(uint64_t)), salt) != header.checksum) return FrameState::kBad;
  view.body = whole.substr(kFrameHeaderBytes);
  return FrameState::kGood;
}

// Reads in blocks; a frame's magic is searched on its alignment.
Result<std::optional<uint64_t>> next_good_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch,
                                                FrameView& view) {
  constexpr size_t kBlock = 256U << 10;
  std::string block;
  uint64_t at = (offset / kFrameAlignment + 1) * kFrameAlignment;
  while (true) {
    block.resize(kBlock);
    const Result<size_t> got = file.salvage_at(at, block.data(), block.size());
    if (!got) return std::unexpected(got.error());
    if (*got < kFrameHeaderBytes) return std::nullopt;
    for (size_t i = 0; i + kFrameHeaderBytes <= *got; i += kFrameAlignment) {
      uint16_t magic;
      std::memcpy(&magic, block.data() + i + sizeof(uint64_t), sizeof(magic));
      if (magic != kFrameMagic) continue;
      const std::string_view header(block.data() + i, kFrameHeaderBytes);
      if (read_frame_header(header).check != header_check(header, salt)) continue;
      const Result<FrameState> state = read_frame(file, at + i, salt, scratch, view);
      if (!state) return std::unexpected(state.error());
      if (*state == FrameState::kGood) return at + i;
    }
    at += *got / kFrameAlignment * kFrameAlignment - kFrameAlignment;
    if (*got < kBlock) return std::nullopt;
  }
}

Result<uint64_t> claimed_end(File& file, uint64_t offset, uint64_t expected) {
  constexpr uint64_t kGapMost = 1U << 16;  // of sequences used up by failures, between frames of one file
  char raw[kFrameHeaderBytes];
  while (true) {
    const Result<size_t> got = file.salvage_at(offset, raw, sizeof(raw));
    if (!got) return std::unexpected(got.error());
    if (*got < sizeof(raw)) return expected;
    const FrameHeader header = read_frame_header({raw, sizeof(raw)});
    const bool follows = header.first_sequence >= expected && header.first_sequence - expected <= kGapMost;
    if (!header.is_possible() || !follows) return expected;
    expected = header.first_sequence + header.count;
    offset += frame_aligned(kFrameHeaderBytes + header.body_bytes);
  }
}

}  // namespace verge::storage
