// One end of a WebSocket whose protocol is messages: however what comes was cut, the same messages come of it, none is
// longer than it may be, and texts are UTF-8.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "net/websocket_messages.h"

namespace {

using verge::net::WebSocketMessages;

constexpr size_t kMessageBytesMax = 4096;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Story final : verge::net::WebSocketObserver {
  std::string text;

  void on_message(bool is_text, std::string_view payload) override {
    check(payload.size() <= kMessageBytesMax);
    check(!is_text || verge::is_utf8(payload));
    text.append(is_text ? "t" : "b").append(payload).append("|");
  }
  void on_ping(std::string_view payload) override {
    check(payload.size() <= 125);
    text.append("ping").append(payload).append("|");
  }
  void on_close(uint16_t code, std::string_view reason) override {
    check(verge::is_utf8(reason) && reason.size() <= 123);
    text.append("close").append(std::to_string(code)).append(reason);
  }
  void on_broken(uint16_t code, std::string_view) override { text.append("broken").append(std::to_string(code)); }
};

std::string story(std::string_view input, size_t piece, WebSocketMessages::Role role) {
  WebSocketMessages messages(role, kMessageBytesMax);
  Story told;
  while (!input.empty() && !messages.is_over()) {
    const std::string_view bytes = input.substr(0, piece);
    const size_t taken = messages.receive(bytes, told);
    check(taken == bytes.size() || messages.is_over());
    input.remove_prefix(taken);
  }
  return told.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 2) return 0;
  const auto role = (bytes[0] & 1) == 0 ? WebSocketMessages::Role::kServer : WebSocketMessages::Role::kClient;
  const size_t piece = 1 + bytes[1] % 64U;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  check(story(input, piece, role) == story(input, input.size() + 1, role));
  return 0;
}
