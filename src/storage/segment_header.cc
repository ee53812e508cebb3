#include "storage/segment_header.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace verge::storage {
namespace {

constexpr std::string_view kMagic = "VERGELOG";
constexpr uint32_t kPlain = 1;  // versions of the format
constexpr uint32_t kEncrypted = 2;
constexpr size_t kChecksummedBytes = kSegmentHeaderBytes - sizeof(uint64_t);

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
  std::string header = key_salt();
  append_fixed(header, hash64(header));
  return header;
}

Result<std::optional<SegmentHeader>> read_segment_header(File& file) {
  char raw[kSegmentHeaderBytes];
  const Result<size_t> got = file.read_at(0, raw, sizeof(raw));
  if (!got) return std::unexpected(got.error());
  if (*got != sizeof(raw)) return std::nullopt;
  const std::string_view header(raw, sizeof(raw));
  ByteReader check(header.substr(kChecksummedBytes));
  if (check.fixed<uint64_t>() != hash64(header.substr(0, kChecksummedBytes))) return std::nullopt;
  ByteReader reader(header);
  if (reader.bytes(kMagic.size()) != kMagic) return std::nullopt;
  const auto version = reader.fixed<uint32_t>();
  if (version != kPlain && version != kEncrypted) return std::nullopt;
  reader.fixed<uint32_t>();
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

}  // namespace verge::storage
