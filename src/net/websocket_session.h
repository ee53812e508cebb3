// WebSocketSession: the server's end of a WebSocket on one connection (RFC 6455), without I/O: what the peer sent goes
// in and is unwrapped where it stands; what is to be sent is wrapped in one binary frame a turn. Who owns the socket
// moves the bytes (TcpStream), so that a protocol that is a stream of bytes need not know what it runs over.
//
// The boundaries of frames mean nothing to such a protocol (MQTT 5.0 section 6), so none is ever held: payload is
// handed on as it comes. Kept are a frame's header (14 bytes), a control frame (125 bytes), and until the handshake is
// done its request (8 KiB). Pings are answered; while an answer waits to be sent further ones are not, as section 5.5.3
// allows.
//
// A page of any site may open a WebSocket to this machine, and browsers say on whose behalf (section 10.2): a request
// with an Origin that is neither the host it asks nor in `origins` is refused.
//
// Threading: on one thread at a time; may move between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace verge::net {

struct WebSocketOffer {
  std::string path;                  // of the target; a query may follow
  std::string protocol;              // that the client must offer (Sec-WebSocket-Protocol)
  std::vector<std::string> origins;  // whose pages may connect, such as "https://example.com"; "*": all
};

class WebSocketSession {
 public:
  enum class State {
    kHandshake,
    kOpen,
    kEnded,  // the peer closed
    kFailed  // its request was refused, or what it sent is no WebSocket; take_output() has what tells it so
  };

  explicit WebSocketSession(std::shared_ptr<const WebSocketOffer> offer) : offer_(std::move(offer)) {}

  [[nodiscard]] State state() const { return state_; }
  // In states kHandshake and kOpen: takes all `size` bytes, leaves what they carry at `bytes`, and returns how much
  // that is. What comes behind the peer's end is discarded.
  size_t receive(char* bytes, size_t size);

  // What is to go to the peer: append to it.
  [[nodiscard]] std::string& output() { return output_; }
  [[nodiscard]] bool has_output() const { return !output_.empty() || !answers_.empty(); }
  // Appends it to `wire` as it goes over the line, and forgets it. Before the handshake is done it waits.
  void take_output(std::string& wire);
  // That nothing more is sent, behind all else, once.
  void close();

 private:
  static constexpr size_t kHeaderBytesMax = 14;
  static constexpr size_t kControlBytesMax = 125;

  // Returns how many of the bytes are behind the request.
  size_t take_request(std::string_view bytes);
  void refuse(std::string_view status_line);
  // Of header_, as far as it is there: the bytes it takes.
  [[nodiscard]] size_t header_bytes() const;
  bool begin_frame();
  void end_control();
  void fail(uint16_t code);
  void append_close(std::string_view code);

  const std::shared_ptr<const WebSocketOffer> offer_;
  State state_ = State::kHandshake;
  std::string request_;  // until the handshake is done
  std::string header_;   // of a frame, as far as it has come
  bool in_frame_ = false;
  uint64_t left_ = 0;  // of the frame's payload
  uint8_t opcode_ = 0;
  bool in_message_ = false;  // a fragment came, and its continuation is to come
  uint8_t mask_[4] = {};
  size_t masked_ = 0;    // bytes of the payload that were unmasked
  std::string control_;  // payload of a control frame
  std::string output_;
  std::string answers_;  // wrapped already
  bool said_goodbye_ = false;
};

}  // namespace verge::net
