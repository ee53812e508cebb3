#include "node/event_query.h"

#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "model/topic.h"
#include "spool/record.h"
#include "storage/segmented_log.h"

namespace verge::node {
namespace {

constexpr size_t kScanBytesMax = 64U << 20;

bool matches(const EventQuery& query, const EventView& event) {
  return event.time >= query.since && event.time < query.until &&
         (query.device.empty() || event.device == query.device) && (!query.kind || event.kind == *query.kind) &&
         (query.topic_filter == "#" || topic_matches(query.topic_filter, event.topic));
}

// Whether the bytes are one JSON value, to be shown as such.
bool is_json(std::string_view bytes) {
  if (bytes.empty()) return false;
  static thread_local simdjson::dom::parser parser;
  simdjson::dom::element value;
  return parser.parse(bytes.data(), bytes.size()).get(value) == simdjson::SUCCESS;
}

}  // namespace

std::string EventPosition::text() const { return fmt::format("{}:{}", name_of(stream), sequence); }

std::optional<EventPosition> EventPosition::parse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<Priority> stream = parse_priority(text.substr(0, colon));
  const std::string_view number = text.substr(colon + 1);
  EventPosition position;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), position.sequence);
  if (!stream || problem != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  position.stream = *stream;
  return position;
}

Result<QueryEnd> query_events(storage::FileSystem& file_system, const std::string& spool_directory,
                              const storage::KeyRing& keys,
                              const std::optional<std::array<uint64_t, spool::kStreams>>& ends, const EventQuery& query,
                              const std::function<Scan(const FoundEvent&)>& found) {
  QueryEnd result;
  size_t count = 0;
  size_t scanned = 0;
  for (const Priority stream : kPriorities) {
    if (query.stream && *query.stream != stream) continue;
    if (query.after && stream < query.after->stream) continue;
    const uint64_t from = query.after && query.after->stream == stream ? query.after->sequence + 1 : 1;
    const uint64_t end = ends ? (*ends)[static_cast<size_t>(stream)] : std::numeric_limits<uint64_t>::max();
    storage::LogReader reader(file_system, spool::Spool::stream_directory(spool_directory, stream), keys);
    reader.seek(from);
    while (true) {
      const Result<std::optional<storage::FrameView>> frame = reader.next(end);
      if (!frame) {
        if (frame.error().code == "storage.missing") break;  // a stream that was never used
        return std::unexpected(frame.error());
      }
      if (!*frame) break;
      scanned += (*frame)->body.size();
      uint64_t sequence = (*frame)->first_sequence;
      spool::FrameRecords records((*frame)->body);
      for (; const std::optional<spool::StoredRecord> record = records.next(); ++sequence) {
        if (sequence < from) continue;
        ByteReader event_reader(record->event);
        const std::optional<EventView> event = read_event(event_reader);
        const EventPosition position{stream, sequence};
        if (event && matches(query, *event)) {
          if (count == query.limit || found({position, *event}) == Scan::kStopBefore) {
            result.complete = false;
            return result;
          }
          ++count;
        }
        result.position = position;
      }
      if (scanned > kScanBytesMax) {
        result.complete = false;
        return result;
      }
    }
  }
  return result;
}

std::optional<std::string> payload_json(std::string_view payload) {
  if (is_json(payload)) {
    std::string out(payload);
    // Line ends inside JSON are white space; one event is one line.
    for (char& c : out) c = c == '\n' || c == '\r' ? ' ' : c;
    return out;
  }
  if (is_utf8(payload)) return json_string(payload);
  return std::nullopt;
}

std::string event_json(const FoundEvent& found, const NodeId& self, std::string_view self_name) {
  const EventView& event = found.event;
  std::string out =
      fmt::format(R"({{"position":"{}","stream":"{}","sequence":{},"time":"{}","time_us":{},"kind":"{}","topic":)",
                  found.position.text(), name_of(found.position.stream), found.position.sequence,
                  format_utc(event.time), event.time.microseconds, name_of(event.kind));
  append_json_string(out, event.topic);
  out.append(",\"device\":");
  append_json_string(out, event.device);
  fmt::format_to(std::back_inserter(out), R"(,"origin":{{"node":"{}","name":)",
                 event.has_origin ? event.origin_node.text() : self.text());
  append_json_string(out, event.has_origin ? event.origin_name : self_name);
  fmt::format_to(std::back_inserter(out), ",\"sequence\":{}}}",
                 event.has_origin ? event.origin_sequence : found.position.sequence);
  if (const std::optional<std::string> payload = payload_json(event.payload)) {
    out.append(",\"payload\":").append(*payload);
  } else {
    out.append(",\"payload_base64\":\"").append(base64(event.payload)).append("\"");
  }
  out.push_back('}');
  return out;
}

}  // namespace verge::node
