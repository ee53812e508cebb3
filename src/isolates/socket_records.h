// SocketRecords: a WebSocket that a worker opens (RFC 6455), between the bytes of its connection and what the worker's
// side reads and writes as the body of a subrequest, which is records:
//
//   u8 1 a text, 2 bytes, 8 the close; u32 length, little-endian; payload: the message, or u16 code and the reason.
//
// Pings are answered here. What the worker writes that is no record, or longer than a message may be, closes with 1002.
//
// Threading: none of its own.
#pragma once

#include <string>
#include <string_view>

#include "net/websocket_messages.h"

namespace verge::isolates {

class SocketRecords final : private net::WebSocketObserver {
 public:
  SocketRecords();

  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] bool is_accepted_by(std::string_view accept) const;

  // From the server: appends records, and what is to be answered at once.
  void receive(std::string_view bytes, std::string& records, std::string& wire);
  // The connection is at its end: the close, if there was none.
  void end(std::string& records);
  // From the worker: appends what goes over the line.
  void take(std::string_view records, std::string& wire);
  // Both sides have closed, or the server broke a rule.
  [[nodiscard]] bool is_over() const { return (got_close_ && sent_close_) || broken_; }

 private:
  void on_message(bool is_text, std::string_view payload) override;
  void on_ping(std::string_view payload) override;
  void on_close(uint16_t code, std::string_view reason) override;
  void on_broken(uint16_t code, std::string_view why) override;
  void append_record(uint8_t type, std::string_view payload);
  void append_close(uint16_t code, std::string_view reason);
  void write_close(uint16_t code, std::string_view reason);

  std::string key_;
  net::WebSocketMessages messages_;
  std::string record_;              // of the worker's, as far as it has come
  std::string* records_ = nullptr;  // of the call that is under way, as the next
  std::string* wire_ = nullptr;
  bool got_close_ = false;
  bool sent_close_ = false;
  bool broken_ = false;
};

}  // namespace verge::isolates
