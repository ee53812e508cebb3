#include "cache/disk_record.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace verge::cache {
namespace {

constexpr uint32_t kMagic = 0x424f4356;  // "VCOB"
constexpr size_t kChecksumAt = 24;
constexpr size_t kFieldsMax = 4096;
constexpr size_t kSelectorsMax = 256;

uint64_t blocks_of(uint64_t body_bytes) { return (body_bytes + kRecordBlockBytes - 1) / kRecordBlockBytes; }

void append_signed(std::string& out, int64_t value) { append_fixed(out, static_cast<uint64_t>(value)); }
int64_t read_signed(ByteReader& reader) { return static_cast<int64_t>(reader.fixed<uint64_t>()); }

void append_fields(std::string& out, std::span<const net::HttpField> fields) {
  append_varint(out, fields.size());
  for (const net::HttpField& field : fields) {
    append_sized(out, field.name);
    append_sized(out, field.value);
  }
}

std::vector<net::HttpField> read_fields(ByteReader& reader) {
  std::vector<net::HttpField> fields;
  const uint64_t count = reader.varint();
  if (count > kFieldsMax) return reader.bytes(UINT64_MAX), fields;
  fields.reserve(count);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = reader.sized();
    fields.push_back({name, reader.sized()});
  }
  return fields;
}

enum Flag : uint8_t { kAlwaysValidate = 1, kNeverStale = 2, kHasRange = 4, kHasRangeLength = 8 };

void append_head(std::string& out, const Answer& answer) {
  const Freshness& fresh = answer.freshness();
  const std::optional<ContentRange>& range = answer.range();
  uint8_t flags = 0;
  if (fresh.always_validate) flags |= kAlwaysValidate;
  if (fresh.never_stale) flags |= kNeverStale;
  if (range) flags |= kHasRange;
  if (range && range->length) flags |= kHasRangeLength;
  append_fixed(out, flags);
  append_fixed(out, static_cast<uint8_t>(fresh.source));
  append_fixed(out, static_cast<uint16_t>(answer.status()));
  append_sized(out, answer.reason());
  append_sized(out, answer.url());
  append_signed(out, fresh.lifetime);
  append_signed(out, fresh.initial_age);
  append_signed(out, fresh.received_ms);
  append_signed(out, fresh.stale_while_revalidate);
  append_signed(out, fresh.stale_if_error);
  append_fixed(out, answer.marks().fetched_at);
  if (range) {
    append_fixed(out, range->range.first);
    append_fixed(out, range->range.last);
    append_fixed(out, range->length.value_or(0));
  }
  append_varint(out, answer.marks().tags.size());
  for (const uint64_t tag : answer.marks().tags) append_fixed(out, tag);
  append_varint(out, answer.selectors().size());
  for (const Selector& selector : answer.selectors()) {
    append_sized(out, selector.name);
    append_sized(out, selector.value);
    append_fixed(out, static_cast<uint8_t>(selector.is_present));
  }
  append_fields(out, answer.fields());
  append_fields(out, answer.body()->trailers());
}

bool read_head(ByteReader& reader, RecordHead& head) {
  AnswerParts& parts = head.parts;
  const auto flags = reader.fixed<uint8_t>();
  const auto source = reader.fixed<uint8_t>();
  parts.status = reader.fixed<uint16_t>();
  parts.reason = reader.sized();
  parts.url = reader.sized();
  Freshness& fresh = parts.freshness;
  if (source > static_cast<uint8_t>(LifetimeSource::kHeuristic)) return false;
  fresh.source = static_cast<LifetimeSource>(source);
  fresh.lifetime = read_signed(reader);
  fresh.initial_age = read_signed(reader);
  fresh.received_ms = read_signed(reader);
  fresh.stale_while_revalidate = read_signed(reader);
  fresh.stale_if_error = read_signed(reader);
  fresh.always_validate = (flags & kAlwaysValidate) != 0;
  fresh.never_stale = (flags & kNeverStale) != 0;
  parts.fetched_at = reader.fixed<uint64_t>();
  if ((flags & kHasRange) != 0) {
    ContentRange range;
    range.range.first = reader.fixed<uint64_t>();
    range.range.last = reader.fixed<uint64_t>();
    const auto length = reader.fixed<uint64_t>();
    if ((flags & kHasRangeLength) != 0) range.length = length;
    parts.range = range;
  }
  const uint64_t tags = reader.varint();
  if (tags > reader.rest().size() / sizeof(uint64_t)) return false;
  parts.tags.reserve(tags);
  for (uint64_t i = 0; i < tags; ++i) parts.tags.push_back(reader.fixed<uint64_t>());
  const uint64_t selectors = reader.varint();
  if (selectors > kSelectorsMax) return false;
  for (uint64_t i = 0; i < selectors && reader.ok(); ++i) {
    Selector selector{.name = std::string(reader.sized()), .value = std::string(reader.sized()), .is_present = false};
    selector.is_present = reader.fixed<uint8_t>() != 0;
    parts.selectors.push_back(std::move(selector));
  }
  parts.fields = OwnedFields(read_fields(reader));
  head.trailers = read_fields(reader);
  return reader.ok() && reader.empty() && parts.status >= 200 && parts.status < 600;
}

uint64_t prefix_checksum(std::string_view prefix) {
  return hash64(prefix.substr(kRecordHeaderBytes), hash64(prefix.substr(0, kChecksumAt)));
}

}  // namespace

uint64_t RecordHeader::prefix_bytes() const {
  return kRecordHeaderBytes + head_bytes + blocks_of(body_bytes) * sizeof(uint64_t);
}

uint64_t block_checksum(std::string_view block, uint64_t number) { return hash64(block, number + 1); }

// magic u32 | head bytes u32 | body bytes u64 | url u64 | checksum u64 | 0 u64 | head | checksums
std::string record_prefix(const Answer& answer, uint64_t url_hash) {
  std::string prefix(kRecordHeaderBytes, '\0');
  append_head(prefix, answer);
  const uint64_t body_bytes = answer.body()->size();
  write_fixed_at(prefix, 0, kMagic);
  write_fixed_at(prefix, 4, static_cast<uint32_t>(prefix.size() - kRecordHeaderBytes));
  write_fixed_at(prefix, 8, body_bytes);
  write_fixed_at(prefix, 16, url_hash);
  std::string block;
  uint64_t number = 0;
  for (uint64_t place = 0; place < body_bytes;) {
    const Body::Piece piece = answer.body()->read(place).piece;
    std::string_view bytes = piece.bytes.view().substr(piece.offset, piece.size);
    if (bytes.empty()) break;
    place += bytes.size();
    // A block that lies in one piece is not copied.
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, kRecordBlockBytes - block.size());
      bytes.remove_prefix(part.size());
      if (block.empty() && part.size() == kRecordBlockBytes) {
        append_fixed(prefix, block_checksum(part, number++));
        continue;
      }
      block.append(part);
      if (block.size() < kRecordBlockBytes) continue;
      append_fixed(prefix, block_checksum(block, number++));
      block.clear();
    }
  }
  if (!block.empty()) append_fixed(prefix, block_checksum(block, number));
  write_fixed_at(prefix, kChecksumAt, prefix_checksum(prefix));
  return prefix;
}

std::optional<RecordHeader> read_record_header(std::string_view bytes) {
  ByteReader reader(bytes.substr(0, kRecordHeaderBytes));
  const auto magic = reader.fixed<uint32_t>();
  RecordHeader header;
  header.head_bytes = reader.fixed<uint32_t>();
  header.body_bytes = reader.fixed<uint64_t>();
  header.url = reader.fixed<uint64_t>();
  header.checksum = reader.fixed<uint64_t>();
  reader.fixed<uint64_t>();
  // A head and a body that no sum of sizes runs over with.
  if (!reader.ok() || magic != kMagic || header.body_bytes >> 48U != 0) return std::nullopt;
  return header;
}

std::optional<RecordHead> read_record_head(const RecordHeader& header, std::string_view prefix) {
  if (prefix.size() != header.prefix_bytes() || prefix_checksum(prefix) != header.checksum) return std::nullopt;
  RecordHead head;
  ByteReader reader(prefix.substr(kRecordHeaderBytes, header.head_bytes));
  if (!read_head(reader, head)) return std::nullopt;
  head.parts.stored_because = "may be stored";
  ByteReader checksums(prefix.substr(kRecordHeaderBytes + header.head_bytes));
  while (!checksums.empty()) head.block_checksums.push_back(checksums.fixed<uint64_t>());
  return head;
}

uint32_t variant_of(const Answer& answer) {
  std::string text;
  for (const Selector& selector : answer.selectors()) {
    append_sized(text, selector.name);
    append_sized(text, selector.is_present ? "1" + selector.value : "");
  }
  if (const std::optional<ContentRange>& range = answer.range()) {
    append_fixed(text, range->range.first);
    append_fixed(text, range->range.last);
  }
  return static_cast<uint32_t>(hash64(text));
}

}  // namespace verge::cache
