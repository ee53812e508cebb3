// The frames of a WebSocket that a worker has accepted (docs/formats/isolate-frames.md): messages both ways, whole, in
// windows; the close; and room. Their id is that of the call whose answer switched to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "calls/frame.h"

namespace verge::calls {

inline constexpr uint8_t kSwitches = 4;  // of a HEAD: with status 101, to a WebSocket
inline constexpr uint8_t kText = 2;      // of a message: UTF-8, not bytes
inline constexpr uint8_t kClean = 2;     // of a close by the client: it said so

inline constexpr size_t kMessageBytesMax = kPayloadBytesMax;
// What a message takes of a window beside its payload, so that empty ones are bounded, too.
inline constexpr size_t kMessageCost = 64;
inline constexpr size_t kSocketWindowBytes = kMessageBytesMax + kMessageCost;
constexpr uint64_t socket_cost(size_t payload_bytes) { return payload_bytes + kMessageCost; }

struct SocketClose {
  uint16_t code = 0;
  std::string_view reason;
  bool operator==(const SocketClose&) const = default;
};
// `type`: SOCKET_CLOSE or SOCKET_END.
void append_socket_close(std::string& out, FrameType type, uint32_t id, const SocketClose& close, uint8_t flags = 0);
std::optional<SocketClose> read_socket_close(std::string_view payload);

}  // namespace verge::calls
