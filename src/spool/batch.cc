#include "spool/batch.h"

#include <memory>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/text.h"
#include "compress/zstd_frame.h"
#include "model/topic.h"

namespace verge::spool {
namespace {

constexpr std::string_view kMagic = "VUB1";

std::unexpected<Error> malformed(std::string_view what) {
  return fail("uplink.malformed", fmt::format("the batch is not well formed: {}", what),
              "check that the child runs a compatible version");
}

// A name goes into every record that has none of another node: a long one would make much of little.
constexpr size_t kNodeNameBytesMax = 255;

bool is_name(std::string_view text) {
  return text.size() <= kTopicBytesMax && text.find('\0') == std::string_view::npos && is_utf8(text);
}

Result<std::string> decompress(std::string_view compressed) {
  const std::optional<uint64_t> stated = compress::zstd_stated_bytes(compressed);
  if (!stated) return malformed("no zstd frame with its size");
  const uint64_t size = *stated;
  if (size > kBatchBytesMax) {
    return fail("uplink.too-large", fmt::format("the batch has {} bytes, {} are allowed", size, kBatchBytesMax),
                "lower parent.batch_bytes_max on the child");
  }
  std::optional<std::string> bytes = compress::zstd_content(compressed);
  if (!bytes) return malformed("zstd cannot decompress it");
  return std::move(*bytes);
}

}  // namespace

std::string BatchHeader::source() const {
  std::string source = "n";
  source.append(node.view()).append(incarnation.view());
  source.push_back(static_cast<char>('0' + static_cast<int>(stream)));
  return source;
}

void BatchBuilder::add(uint64_t sequence, std::string_view event) {
  VERGE_ASSERT(sequence > last_sequence_);
  append_varint(records_, sequence - last_sequence_);
  append_sized(records_, event);
  last_sequence_ = sequence;
  ++count_;
}

std::string BatchBuilder::take(int level) {
  std::string bytes(kMagic);
  bytes.append(header_.node.view());
  bytes.append(header_.incarnation.view());
  bytes.push_back(static_cast<char>(header_.stream));
  append_sized(bytes, header_.name);
  append_varint(bytes, header_.floor);
  append_varint(bytes, count_);
  bytes.append(records_);
  return compress::zstd_frame(bytes, level);
}

Result<Batch> Batch::parse(std::string_view compressed) {
  Result<std::string> bytes = decompress(compressed);
  if (!bytes) return std::unexpected(bytes.error());
  Batch batch;
  batch.bytes = std::move(*bytes);
  ByteReader reader(batch.bytes);
  if (reader.bytes(kMagic.size()) != kMagic) return malformed("it does not begin as one");
  const std::string_view node = reader.bytes(16);
  const std::string_view incarnation = reader.bytes(16);
  const auto stream = reader.fixed<uint8_t>();
  batch.header.name = reader.sized();
  batch.header.floor = reader.varint();
  const uint64_t count = reader.varint();
  if (!reader.ok() || stream >= kPriorities.size()) return malformed("the header is cut short");
  if (!is_name(batch.header.name) || batch.header.name.size() > kNodeNameBytesMax)
    return malformed("the node's name is no name");
  if (count > kBatchRecordsMax) return malformed("it has too many records");
  batch.header.node = NodeId::from_bytes(node);
  batch.header.incarnation = NodeId::from_bytes(incarnation);
  batch.header.stream = static_cast<Priority>(stream);
  uint64_t sequence = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t step = reader.varint();
    ByteReader event_reader(reader.sized());
    const std::optional<EventView> event = read_event(event_reader);
    if (!reader.ok() || step == 0 || sequence + step < sequence || !event || !event_reader.empty())
      return malformed("a record is damaged");
    // What climbs goes to subscribers and rules as well: it must be what they may be given.
    if (!is_topic_name(event->topic) || !is_name(event->device) || !is_name(event->origin_name) ||
        event->origin_name.size() > kNodeNameBytesMax) {
      return malformed("a record has a topic, device or origin that is none");
    }
    if (!is_event_time(event->time)) return malformed("a record has a time outside the years 1970 to 9999");
    sequence += step;
    batch.records.push_back({sequence, *event});
  }
  if (!reader.empty()) return malformed("there are bytes after the last record");
  return batch;
}

}  // namespace verge::spool
