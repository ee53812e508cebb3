#include "storage/segment_header.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace verge::storage {
namespace {

constexpr std::string_view kMagic = "VERGELOG";
constexpr uint32_t kPlain = 1;  // versions of the format
constexpr uint32_t kEncrypted = 2;
constexpr size_t kChecksummedBytes = kSegmentHeaderCopyBytes - sizeof(uint64_t);

std::optional<SegmentHeader> read_copy(std::string_view copy) {
  ByteReader check(copy.substr(kChecksummedBytes));
  if (check.fixed<uint64_t>() != hash64(copy.substr(0, kChecksummedBytes))) return std::nullopt;
  ByteReader reader(copy);
  if (reader.bytes(kMagic.size()) != kMagic) return std::nullopt;
  const auto version = reader.fixed<uint32_t>();
  if (version != kPlain && version != kEncrypted) return std::nullopt;
  if (reader.fixed<uint32_t>() != kSegmentHeaderBytes) return std::nullopt;
  SegmentHeader values;
  values.first_sequence = reader.fixed<uint64_t>();
  values.salt = reader.fixed<uint64_t>();
  values.previous_end = reader.fixed<uint64_t>();
  if (version == kPlain) return values;
  values.key = reader.fixed<uint64_t>();
  values.more_salt = reader.fixed<uint64_t>();
  if (values.key == 0) return std::nullopt;
  return values;
}

}  // namespace

std::string SegmentHeader::key_salt() const {
  std::string header(kMagic);
  append_fixed(header, key == 0 ? kPlain : kEncrypted);
  append_fixed(header, static_cast<uint32_t>(kSegmentHeaderBytes));
  append_fixed(header, first_sequence);
  append_fixed(header, salt);
  append_fixed(header, previous_end);
  append_fixed(header, key);
  append_fixed(header, more_salt);
  return header;
}

std::string SegmentHeader::bytes() const {
  std::string copy = key_salt();
  append_fixed(copy, hash64(copy));
  return copy + copy;
}

Result<std::optional<SegmentHeader>> read_segment_header(File& file) {
  char raw[kSegmentHeaderBytes];
  const Result<size_t> got = file.salvage_at(0, raw, sizeof(raw));
  if (!got) return std::unexpected(got.error());
  const std::string_view copies(raw, *got);
  for (size_t at = 0; at + kSegmentHeaderCopyBytes <= copies.size(); at += kSegmentHeaderCopyBytes) {
    if (std::optional<SegmentHeader> header = read_copy(copies.substr(at, kSegmentHeaderCopyBytes))) return header;
  }
  return std::nullopt;
}

}  // namespace verge::storage
