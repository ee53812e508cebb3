// EventQuery: reads what a node holds, straight from its logs, whether the node runs or not.
//
// Events come by stream, critical first, and in order of sequence within one; behind them what rules keep, hot first,
// unless a stream is asked for. A position names an event ("normal:17");
// a query goes on after one. Reading is bounded by `limit`, by whoever takes the events and, for what does not match,
// by 64 MiB a call: then the answer says where to go on.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "model/event.h"
#include "spool/spool.h"
#include "storage/file_system.h"

namespace verge::node {

struct EventPosition {
  Priority stream = Priority::kCritical;
  uint64_t sequence = 0;
  // Of what rules keep here: 1 + the class (node/kept_events.h); 0: the event is in the stream.
  uint8_t kept = 0;

  // "critical" … "low"; "kept-hot", "kept-batch".
  [[nodiscard]] std::string place() const;
  [[nodiscard]] std::string text() const;
  // "normal:17"; nothing otherwise.
  static std::optional<EventPosition> parse(std::string_view text);
};

struct EventQuery {
  std::string topic_filter = "#";  // "#" matches all topics, also those that begin with '$'
  std::string device;              // empty: any
  std::optional<EventKind> kind;
  std::optional<Priority> stream;
  WallTime since{INT64_MIN};
  WallTime until{INT64_MAX};
  size_t limit = 1000;  // from 1
  std::optional<EventPosition> after;
};

// A reading that was restored of a reduced series.
struct RestoredReading {
  std::string column;
  double error_bound = 0;  // 0: it is as it was
};

struct FoundEvent {
  EventPosition position;
  EventView event;  // good during the callback
};

struct QueryEnd {
  bool complete = true;  // false: there may be more after `position`
  std::optional<EventPosition> position;
};

// What is to follow an event that was found: the next, or none, this one not having been taken.
enum class Scan : uint8_t { kGoOn, kStopBefore };

// Each stream only up to `ends` (the first sequence that is not durable yet); without it to the end of what can be
// read.
Result<QueryEnd> query_events(storage::FileSystem& file_system, const std::string& spool_directory,
                              const storage::KeyRing& keys,
                              const std::optional<std::array<uint64_t, spool::kStreams>>& ends, const EventQuery& query,
                              const std::function<Scan(const FoundEvent&)>& found);

// A payload as a JSON value on one line: itself where it is JSON, a string where it is text; nothing where it is
// neither.
std::optional<std::string> payload_json(std::string_view payload);

// The readings of a row with a reduced series (the aggregate reduced() of a rule), as events of their own times whose
// payloads are the row with the reading in place of its column. False where the event is no such row, or where it
// cannot be read back; then nothing was called.
bool restore_readings(const EventView& event,
                      const std::function<void(const EventView& reading, const RestoredReading& restored)>& found);

// event_json() of the event, or of each reading that is restored of it, each line with its end.
void append_event_lines(std::string& out, const FoundEvent& found, const NodeId& self, std::string_view self_name);

// One JSON object, without a line end. `self` and `self_name` stand for an origin that is this node.
std::string event_json(const FoundEvent& found, const NodeId& self, std::string_view self_name,
                       const RestoredReading* restored = nullptr);

}  // namespace verge::node
