// WebSocketMessages: one end of a WebSocket whose protocol is messages (RFC 6455 sections 5 to 7), without I/O: what
// the peer sent goes in, messages come out whole; what is to be sent is appended to a string as it goes over the line.
// For a protocol that is a stream of bytes there is WebSocketSession.
//
// Held is what has come of one message, at most `message_bytes_max`, and of one frame's head or control frame. A text
// that is not UTF-8, and whatever breaks a rule, fails the connection with the code that says so; after that and after
// a Close nothing more is read.
//
// Threading: none of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/websocket_wire.h"

namespace verge::net {

class WebSocketObserver {
 public:
  virtual ~WebSocketObserver() = default;
  // Views are good until return. The observer may not destroy the WebSocketMessages in any of these.
  virtual void on_message(bool is_text, std::string_view payload) = 0;
  virtual void on_ping(std::string_view payload) = 0;
  virtual void on_pong() {}
  // The peer closes; kNoCode where it gave none.
  virtual void on_close(uint16_t code, std::string_view reason) = 0;
  // The peer broke a rule: it is to be told `code`.
  virtual void on_broken(uint16_t code, std::string_view why) = 0;
};

class WebSocketMessages {
 public:
  enum class Role { kServer, kClient };
  WebSocketMessages(Role role, size_t message_bytes_max) : role_(role), message_bytes_max_(message_bytes_max) {}

  // Returns how many bytes it took: all, unless the observer stopped it, or nothing more is read.
  size_t receive(std::string_view bytes, WebSocketObserver& observer);
  // From within on_message(): receive() returns behind this message.
  void stop() { stopped_ = true; }
  [[nodiscard]] bool is_over() const { return over_; }

  void append_message(std::string& wire, bool is_text, std::string_view payload);
  void append_ping(std::string& wire);
  void append_pong(std::string& wire, std::string_view payload);
  // kNoCode: without one. `reason` is cut at 123 bytes, between characters.
  void append_close(std::string& wire, uint16_t code, std::string_view reason);

 private:
  static constexpr size_t kControlBytesMax = 125;

  [[nodiscard]] size_t head_bytes() const;
  // False: it broke a rule.
  bool begin_frame(WebSocketObserver& observer);
  void end_frame(WebSocketObserver& observer);
  void end_close(WebSocketObserver& observer);
  void fail(WebSocketObserver& observer, uint16_t code, std::string_view why);
  void append_frame(std::string& wire, uint8_t opcode, std::string_view payload);

  const Role role_;
  const size_t message_bytes_max_;
  std::string head_;  // of a frame, as far as it has come
  bool in_frame_ = false;
  uint64_t left_ = 0;  // of the frame's payload
  uint8_t opcode_ = 0;
  bool is_final_ = false;
  bool is_masked_ = false;
  uint8_t mask_[4] = {};
  size_t masked_ = 0;        // bytes of the payload that were unmasked
  bool in_message_ = false;  // a fragment came, and its continuation is to come
  bool is_text_ = false;
  std::string message_;
  std::string control_;
  bool over_ = false;
  bool stopped_ = false;
};

}  // namespace verge::net
