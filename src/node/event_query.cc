#include "node/event_query.h"

#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "model/topic.h"
#include "node/json_text.h"
#include "node/kept_events.h"
#include "rules/restored_series.h"
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
  return parse_json(parser, bytes, value) == simdjson::SUCCESS;
}

}  // namespace

std::string EventPosition::place() const {
  if (kept == 0) return std::string(name_of(stream));
  return fmt::format("kept-{}", kKeptClasses[kept - 1]);
}

std::string EventPosition::text() const { return fmt::format("{}:{}", place(), sequence); }

std::optional<EventPosition> EventPosition::parse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view place = text.substr(0, colon);
  uint8_t kept = 0;
  for (uint8_t i = 0; i < kKeptClasses.size(); ++i) {
    if (place.starts_with("kept-") && place.substr(5) == kKeptClasses[i]) kept = i + 1;
  }
  const std::optional<Priority> stream = kept > 0 ? Priority::kLow : parse_priority(place);
  const std::string_view number = text.substr(colon + 1);
  EventPosition position;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), position.sequence);
  if (!stream || problem != std::errc{} || end != number.data() + number.size()) return std::nullopt;
  position.stream = *stream;
  position.kept = kept;
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
    if (query.after && (stream < query.after->stream || query.after->kept > 0)) continue;
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
  if (query.stream) return result;
  const std::string kept_directory = spool_directory.substr(0, spool_directory.rfind('/')) + "/kept";
  for (uint8_t i = 0; i < kKeptClasses.size() && result.complete; ++i) {
    const uint8_t kept = i + 1;
    if (query.after && query.after->kept > kept) continue;
    const uint64_t from = query.after && query.after->kept == kept ? query.after->sequence + 1 : 1;
    const Result<void> read =
        read_kept(file_system, kept_directory, keys, i, from, [&](uint64_t sequence, const EventView& event) {
          const EventPosition position{.stream = Priority::kLow, .sequence = sequence, .kept = kept};
          scanned += event.payload.size() + event.topic.size();
          if (matches(query, event)) {
            if (count == query.limit || found({position, event}) == Scan::kStopBefore) {
              result.complete = false;
              return false;
            }
            ++count;
          }
          result.position = position;
          if (scanned > kScanBytesMax) result.complete = false;
          return result.complete;
        });
    if (!read) return std::unexpected(read.error());
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

namespace {

// The member of the object that is a reduced series, with its record.
struct ReducedMember {
  std::string column;
  std::string record;
};

std::optional<ReducedMember> reduced_member(const simdjson::dom::object& row) {
  for (const auto& [name, value] : row) {
    std::string_view text;
    if (!value.is_object() || value["reduced"].get_string().get(text) != simdjson::SUCCESS) continue;
    std::optional<std::string> record = from_base64(text);
    if (record) return ReducedMember{.column = std::string(name), .record = *std::move(record)};
  }
  return std::nullopt;
}

}  // namespace

bool restore_readings(const EventView& event,
                      const std::function<void(const EventView& reading, const RestoredReading& restored)>& found) {
  if (event.kind != EventKind::kSelection || !event.payload.contains(R"({"reduced":")")) return false;
  simdjson::dom::parser parser;
  const simdjson::padded_string copy(event.payload);
  simdjson::dom::object row;
  if (parser.parse(copy).get_object().get(row) != simdjson::SUCCESS) return false;
  const std::optional<ReducedMember> member = reduced_member(row);
  if (!member) return false;
  const std::optional<rules::RestoredSeries> restored = rules::restore_series(member->record);
  if (!restored) return false;
  // What stands before and after the reading.
  std::string before = "{";
  std::string after;
  for (const auto& [name, value] : row) {
    const bool is_reading = name == member->column;
    std::string& text = is_reading || after.empty() ? before : after;
    if (text != "{") text.push_back(',');
    append_json_string(text, name);
    text.push_back(':');
    if (is_reading) {
      after = " ";  // what follows goes there
    } else {
      text.append(simdjson::minify(value));
    }
  }
  after = after.size() > 1 ? after.substr(1) : std::string();
  std::string payload;
  for (const rules::RestoredSeries::Reading& each : restored->readings) {
    payload = fmt::format("{}{}{}}}", before, each.value, after);
    EventView reading = event;
    reading.time = WallTime{each.time_us};
    reading.payload = payload;
    found(reading, {.column = member->column, .error_bound = each.error_bound});
  }
  return true;
}

void append_event_lines(std::string& out, const FoundEvent& found, const NodeId& self, std::string_view self_name) {
  const bool is_restored =
      restore_readings(found.event, [&](const EventView& reading, const RestoredReading& restored) {
        out.append(event_json({found.position, reading}, self, self_name, &restored)).push_back('\n');
      });
  if (!is_restored) out.append(event_json(found, self, self_name)).push_back('\n');
}

std::string event_json(const FoundEvent& found, const NodeId& self, std::string_view self_name,
                       const RestoredReading* restored) {
  const EventView& event = found.event;
  std::string out =
      fmt::format(R"({{"position":"{}","stream":"{}","sequence":{},"time":"{}","time_us":{},"kind":"{}","topic":)",
                  found.position.text(), found.position.place(), found.position.sequence, format_utc(event.time),
                  event.time.microseconds, name_of(event.kind));
  append_json_string(out, event.topic);
  out.append(",\"device\":");
  append_json_string(out, event.device);
  fmt::format_to(std::back_inserter(out), R"(,"origin":{{"node":"{}","name":)",
                 event.has_origin ? event.origin_node.text() : self.text());
  append_json_string(out, event.has_origin ? event.origin_name : self_name);
  fmt::format_to(std::back_inserter(out), ",\"sequence\":{}}}",
                 event.has_origin ? event.origin_sequence : found.position.sequence);
  if (restored != nullptr) {
    out.append(",\"restored\":").append(json_string(restored->column));
    fmt::format_to(std::back_inserter(out), ",\"error_bound\":{}", restored->error_bound);
  }
  if (const std::optional<std::string> payload = payload_json(event.payload)) {
    out.append(",\"payload\":").append(*payload);
  } else {
    out.append(",\"payload_base64\":\"").append(base64(event.payload)).append("\"");
  }
  out.push_back('}');
  return out;
}

}  // namespace verge::node
