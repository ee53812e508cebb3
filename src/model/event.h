// Event: what climbs the tree. One encoding serves the disk and the wire (docs/formats/event.md).
//
// At the node where it entered, origin is left empty: the next node up fills it in from the sender of the batch, so
// that the first hop, which carries the most, does not repeat it for each event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/payload.h"
#include "model/node_id.h"
#include "model/priority.h"

namespace verge {

// The highest number that who numbers its messages may give one.
inline constexpr uint64_t kSourceSequenceMax = 1ULL << 62;

enum class EventKind : uint8_t {
  kMessage = 0,    // what a device said, as it said it
  kSelection = 1,  // what a rule's SELECT made of a message or a window
  kAction = 2,     // the report of an action taken here
};

std::string_view name_of(EventKind kind);

// An event by reference to somebody else's bytes.
struct EventView {
  EventKind kind = EventKind::kMessage;
  WallTime time{};           // when the origin received it
  std::string_view topic;    // a valid topic name
  std::string_view device;   // who said it: the client id, or empty; is_device_name() of what enters here
  std::string_view payload;  // any bytes
  bool has_origin = false;   // false: the node that holds it is the origin
  NodeId origin_node{};
  std::string_view origin_name;
  uint64_t origin_sequence = 0;
};

inline constexpr size_t kEventBytesMax = 16U << 20;
inline constexpr size_t kDeviceBytesMax = 1024;

// At most kDeviceBytesMax bytes of UTF-8 without U+0000; empty: nobody. A parent refuses a whole batch for the sake of
// one device that is none, so records are made of no other.
bool is_device_name(std::string_view text);

// The years 1970 to 9999: what can be written as RFC 3339 and added to without overflow.
bool is_event_time(WallTime time);

void append_event(std::string& out, const EventView& event);
// Reads one event from the front. Nothing when the bytes are no event.
std::optional<EventView> read_event(ByteReader& reader);

}  // namespace verge
