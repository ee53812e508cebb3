#include "calls/socket_frames.h"

#include "base/bytes.h"

namespace verge::calls {

void append_socket_close(std::string& out, FrameType type, uint32_t id, const SocketClose& close, uint8_t flags) {
  FrameWriter frame(out, type, id, flags);
  append_fixed(out, close.code);
  out.append(close.reason);
  frame.end();
}

std::optional<SocketClose> read_socket_close(std::string_view payload) {
  constexpr size_t kReasonBytesMax = 123;
  ByteReader reader(payload);
  SocketClose close{.code = reader.fixed<uint16_t>(), .reason = {}};
  if (!reader.ok()) return std::nullopt;
  close.reason = reader.rest();
  return close.reason.size() <= kReasonBytesMax ? std::optional(close) : std::nullopt;
}

}  // namespace verge::calls
