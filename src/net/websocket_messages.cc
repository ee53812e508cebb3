#include "net/websocket_messages.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "base/text.h"

namespace verge::net {
namespace {

using namespace websocket;

size_t length_bytes_of(uint8_t second) {
  const int length = second & ~kMasked;
  return length == 126 ? 2 : length == 127 ? 8 : 0;
}

}  // namespace

size_t WebSocketMessages::receive(std::string_view bytes, WebSocketObserver& observer) {
  size_t at = 0;
  stopped_ = false;
  while (at < bytes.size() && !over_ && !stopped_) {
    if (!in_frame_) {
      const size_t taken = std::min(head_bytes() - head_.size(), bytes.size() - at);
      head_.append(bytes.substr(at, taken));
      at += taken;
      if (head_.size() < head_bytes()) continue;
      if (!begin_frame(observer)) break;
      if (left_ == 0) end_frame(observer);
      continue;
    }
    const auto taken = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - at));
    std::string& to = opcode_ >= kClose ? control_ : message_;
    const size_t begin = to.size();
    to.append(bytes.substr(at, taken));
    if (is_masked_) {
      for (size_t i = 0; i < taken; ++i) {
        to[begin + i] = static_cast<char>(static_cast<uint8_t>(to[begin + i]) ^ mask_[(masked_ + i) % 4]);
      }
      masked_ = (masked_ + taken) % 4;
    }
    left_ -= taken;
    at += taken;
    if (left_ == 0) end_frame(observer);
  }
  return at;
}

size_t WebSocketMessages::head_bytes() const {
  if (head_.size() < 2) return 2;
  const auto second = static_cast<uint8_t>(head_[1]);
  return 2 + length_bytes_of(second) + ((second & kMasked) != 0 ? 4 : 0);
}

bool WebSocketMessages::begin_frame(WebSocketObserver& observer) {
  const auto first = static_cast<uint8_t>(head_[0]);
  const auto second = static_cast<uint8_t>(head_[1]);
  const std::string head = std::exchange(head_, {});
  opcode_ = first & 0x0f;
  is_final_ = (first & kFinal) != 0;
  is_masked_ = (second & kMasked) != 0;
  const bool is_control = opcode_ >= kClose;
  const bool is_known = opcode_ <= kBinary || (opcode_ >= kClose && opcode_ <= kPong);
  left_ = second & ~kMasked;
  const size_t length_bytes = length_bytes_of(second);
  if (length_bytes > 0) left_ = 0;
  for (size_t i = 0; i < length_bytes; ++i) left_ = left_ << 8 | static_cast<uint8_t>(head[2 + i]);
  if ((first & kReserved) != 0) return fail(observer, kProtocolError, "a reserved bit is set"), false;
  if (!is_known) return fail(observer, kProtocolError, "the opcode is unknown"), false;
  if (is_masked_ != (role_ == Role::kServer)) {
    return fail(observer, kProtocolError, is_masked_ ? "a server masks" : "a client does not mask"), false;
  }
  if (left_ >> 63 != 0) return fail(observer, kProtocolError, "the length is no length"), false;
  if (is_control && (!is_final_ || left_ > kControlBytesMax)) {
    return fail(observer, kProtocolError, "a control frame is long or in fragments"), false;
  }
  if (!is_control && (opcode_ == kContinuation) != in_message_) {
    return fail(observer, kProtocolError, "fragments are mixed up"), false;
  }
  if (!is_control && (left_ > message_bytes_max_ || message_.size() + left_ > message_bytes_max_)) {
    return fail(observer, kTooBig, "the message is too long"), false;
  }
  if (!is_control && opcode_ != kContinuation) is_text_ = opcode_ == kText;
  if (is_masked_) std::memcpy(mask_, head.data() + head.size() - 4, 4);
  masked_ = 0;
  in_frame_ = true;
  return true;
}

void WebSocketMessages::end_frame(WebSocketObserver& observer) {
  in_frame_ = false;
  if (opcode_ < kClose) {
    in_message_ = !is_final_;
    if (!is_final_) return;
    const std::string message = std::exchange(message_, {});
    if (is_text_ && !is_utf8(message)) return fail(observer, kNotUtf8, "a text is not UTF-8");
    return observer.on_message(is_text_, message);
  }
  if (opcode_ == kClose) return end_close(observer);
  const std::string payload = std::exchange(control_, {});
  if (opcode_ == kPing) {
    observer.on_ping(payload);
  } else {
    observer.on_pong();
  }
}

// Section 5.5.1.
void WebSocketMessages::end_close(WebSocketObserver& observer) {
  const std::string payload = std::exchange(control_, {});
  if (payload.empty()) {
    over_ = true;
    return observer.on_close(kNoCode, {});
  }
  const std::string_view reason = std::string_view(payload).substr(std::min<size_t>(2, payload.size()));
  if (payload.size() < 2) return fail(observer, kProtocolError, "a code has two bytes");
  const auto code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]));
  if (!may_be_sent(code)) return fail(observer, kProtocolError, "the code is none that is sent");
  if (!is_utf8(reason)) return fail(observer, kNotUtf8, "the reason is not UTF-8");
  over_ = true;
  observer.on_close(code, reason);
}

void WebSocketMessages::fail(WebSocketObserver& observer, uint16_t code, std::string_view why) {
  over_ = true;
  message_ = {};
  observer.on_broken(code, why);
}

void WebSocketMessages::append_frame(std::string& wire, uint8_t opcode, std::string_view payload) {
  const uint8_t mask_bit = role_ == Role::kClient ? kMasked : 0;
  const size_t size = payload.size();
  wire.push_back(static_cast<char>(kFinal | opcode));
  const int length_bytes = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
  const size_t length = length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127;
  wire.push_back(static_cast<char>(length | mask_bit));
  for (int i = length_bytes - 1; i >= 0; --i) wire.push_back(static_cast<char>(size >> (8 * i) & 0xff));
  if (role_ == Role::kServer) {
    wire.append(payload);
    return;
  }
  // Against intermediaries that take payload for requests, which what is sent must not foresee (section 10.3).
  std::random_device device;
  const uint32_t random = device();
  std::array<char, 4> mask;
  std::memcpy(mask.data(), &random, mask.size());
  wire.append(mask.data(), mask.size());
  const size_t begin = wire.size();
  wire.append(payload);
  for (size_t i = 0; i < size; ++i) {
    wire[begin + i] = static_cast<char>(static_cast<uint8_t>(wire[begin + i]) ^ static_cast<uint8_t>(mask[i % 4]));
  }
}

void WebSocketMessages::append_message(std::string& wire, bool is_text, std::string_view payload) {
  append_frame(wire, is_text ? kText : kBinary, payload);
}

void WebSocketMessages::append_ping(std::string& wire) { append_frame(wire, kPing, {}); }

void WebSocketMessages::append_pong(std::string& wire, std::string_view payload) {
  append_frame(wire, kPong, payload.substr(0, kControlBytesMax));
}

void WebSocketMessages::append_close(std::string& wire, uint16_t code, std::string_view reason) {
  if (code == kNoCode) return append_frame(wire, kClose, {});
  size_t size = std::min(reason.size(), kReasonBytesMax);
  // Not in the middle of a character.
  while (size < reason.size() && size > 0 && (static_cast<uint8_t>(reason[size]) & 0xc0) == 0x80) --size;
  std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  payload.append(reason.substr(0, size));
  append_frame(wire, kClose, payload);
}

}  // namespace verge::net
