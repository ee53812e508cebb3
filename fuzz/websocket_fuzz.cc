// The server's end of a WebSocket: whatever comes and however it was cut, the same is read and answered; payload is
// never more than what came.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "net/websocket_session.h"

using verge::net::WebSocketOffer;
using verge::net::WebSocketSession;

namespace {

constexpr std::string_view kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

void check(bool holds) {
  if (!holds) std::abort();
}

// What was read, the state, and what was answered where nothing was left out for being late.
std::string story(std::string_view input, size_t piece) {
  static const auto offer = std::make_shared<const WebSocketOffer>(
      WebSocketOffer{.path = "/mqtt", .protocol = "mqtt", .origins = {"https://example.com"}});
  WebSocketSession session(offer);
  std::string read;
  using State = WebSocketSession::State;
  while (!input.empty() && (session.state() == State::kHandshake || session.state() == State::kOpen)) {
    std::string bytes(input.substr(0, piece));
    input.remove_prefix(bytes.size());
    const size_t made = session.receive(bytes.data(), bytes.size());
    check(made <= bytes.size());
    read.append(bytes, 0, made);
  }
  return read + "|" + std::to_string(static_cast<int>(session.state()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string all = (data[0] & 1) != 0 ? std::string(kRequest).append(input) : std::string(input);
  const std::string whole = story(all, all.size() + 1);
  check(story(all, 1 + data[0] / 2) == whole);
  return 0;
}
