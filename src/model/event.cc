#include "model/event.h"

#include <array>

#include "base/text.h"

namespace verge {
namespace {

constexpr uint8_t kKindMask = 0x0f;
constexpr uint8_t kHasOrigin = 0x10;
constexpr int64_t kYear10000 = 253'402'300'800 * 1'000'000;  // in microseconds since 1970

}  // namespace

std::string_view name_of(EventKind kind) {
  static constexpr std::array<std::string_view, 3> kNames = {"message", "selection", "action"};
  return kNames[static_cast<size_t>(kind)];
}

bool is_device_name(std::string_view text) {
  return text.size() <= kDeviceBytesMax && text.find('\0') == std::string_view::npos && is_utf8(text);
}

bool is_event_time(WallTime time) { return time.microseconds >= 0 && time.microseconds < kYear10000; }

void append_event(std::string& out, const EventView& event) {
  const auto kind = static_cast<uint8_t>(event.kind);
  out.push_back(static_cast<char>(event.has_origin ? kind | kHasOrigin : kind));
  append_fixed(out, static_cast<uint64_t>(event.time.microseconds));
  if (event.has_origin) {
    out.append(event.origin_node.view());
    append_varint(out, event.origin_sequence);
    append_sized(out, event.origin_name);
  }
  append_sized(out, event.topic);
  append_sized(out, event.device);
  append_sized(out, event.payload);
}

std::optional<EventView> read_event(ByteReader& reader) {
  EventView event;
  const auto flags = reader.fixed<uint8_t>();
  if ((flags & ~(kKindMask | kHasOrigin)) != 0 || (flags & kKindMask) > static_cast<uint8_t>(EventKind::kAction)) {
    return std::nullopt;
  }
  event.kind = static_cast<EventKind>(flags & kKindMask);
  event.time.microseconds = static_cast<int64_t>(reader.fixed<uint64_t>());
  if ((flags & kHasOrigin) != 0) {
    event.has_origin = true;
    const std::string_view id = reader.bytes(16);
    if (id.size() == 16) event.origin_node = NodeId::from_bytes(id);
    event.origin_sequence = reader.varint();
    event.origin_name = reader.sized();
  }
  event.topic = reader.sized();
  event.device = reader.sized();
  event.payload = reader.sized();
  if (!reader.ok()) return std::nullopt;
  return event;
}

}  // namespace verge
