// Bytes to packets, without I/O and without copying. First a frame is cut off the input (MQTT 5.0 section 2.1), then
// its body is parsed by the function for its type. Every string is checked to be UTF-8 without U+0000, every flag and
// property to be allowed where it stands.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "mqtt/packet.h"

namespace verge::mqtt {

template <class T>
using Parsed = std::expected<T, Violation>;

struct Frame {
  PacketType type = PacketType::kConnect;
  uint8_t flags = 0;
  std::string_view body;
};

// A connection's input that arrives in pieces of any size. Nothing is copied while frames arrive whole; of a frame in
// many pieces each byte is copied once.
class FrameInput {
 public:
  // What there is to cut frames off: what was kept, followed by `bytes`. Good until keep().
  std::string_view begin(std::string_view bytes);
  // Keeps the end of what begin() gave, for the next time.
  void keep(std::string_view rest);
  // The memory that this takes.
  [[nodiscard]] size_t kept_bytes() const { return kept_.empty() ? 0 : kept_.capacity(); }

 private:
  std::string kept_;
  bool is_kept_ = false;  // begin() gave kept_, not the caller's bytes
};

enum class Framing { kFrame, kNeedMore, kViolation };

// Cuts one frame off the front of `input`. `packet_bytes_max` bounds the whole packet. On kNeedMore nothing is taken.
Framing next_frame(std::string_view& input, size_t packet_bytes_max, Frame& frame, Violation& violation);

Parsed<Connect> parse_connect(const Frame& frame);
Parsed<Connack> parse_connack(const Frame& frame, Version version);
Parsed<Publish> parse_publish(const Frame& frame, Version version);
Parsed<Acknowledgement> parse_acknowledgement(const Frame& frame, Version version);
Parsed<Subscribe> parse_subscribe(const Frame& frame, Version version);
Parsed<Unsubscribe> parse_unsubscribe(const Frame& frame, Version version);
// Also UNSUBACK, which in 3.1.1 has no codes.
Parsed<Suback> parse_suback(const Frame& frame, Version version);
Parsed<Disconnect> parse_disconnect(const Frame& frame, Version version);
Parsed<Auth> parse_auth(const Frame& frame, Version version);

}  // namespace verge::mqtt
