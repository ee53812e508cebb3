#include "net/websocket_session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "net/http_codec.h"
#include "net/http_message.h"
#include "net/websocket_wire.h"

namespace verge::net {
namespace {

using namespace websocket;

constexpr size_t kRequestBytesMax = 8U << 10;

void append_header(std::string& wire, uint8_t opcode, size_t size) {
  wire.push_back(static_cast<char>(kFinal | opcode));
  const int length_bytes = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
  wire.push_back(static_cast<char>(length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127));
  for (int i = length_bytes - 1; i >= 0; --i) wire.push_back(static_cast<char>(size >> (8 * i) & 0xff));
}

std::string code_bytes(uint16_t code) { return {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}; }

}  // namespace

size_t WebSocketSession::receive(char* bytes, size_t size) {
  size_t at = 0;
  if (state_ == State::kHandshake) at = size - take_request({bytes, size});
  size_t made = 0;
  while (at < size && state_ == State::kOpen) {
    if (!in_frame_) {
      const size_t wanted = header_bytes() - header_.size();
      const size_t taken = std::min(wanted, size - at);
      header_.append(bytes + at, taken);
      at += taken;
      if (header_.size() < header_bytes() || !begin_frame()) continue;
    }
    const auto taken = static_cast<size_t>(std::min<uint64_t>(left_, size - at));
    for (size_t i = 0; i < taken; ++i) {
      bytes[at + i] = static_cast<char>(static_cast<uint8_t>(bytes[at + i]) ^ mask_[(masked_ + i) % 4]);
    }
    masked_ = (masked_ + taken) % 4;
    left_ -= taken;
    if (opcode_ >= kClose) {
      control_.append(bytes + at, taken);
    } else {
      std::memmove(bytes + made, bytes + at, taken);
      made += taken;
    }
    at += taken;
    if (left_ > 0) continue;
    in_frame_ = false;
    if (opcode_ >= kClose) end_control();
  }
  return made;
}

size_t WebSocketSession::header_bytes() const {
  if (header_.size() < 2) return 2;
  const auto length = static_cast<uint8_t>(header_[1]);
  const size_t mask = (length & kMasked) != 0 ? 4 : 0;
  switch (length & ~kMasked) {
    case 126:
      return 4 + mask;
    case 127:
      return 10 + mask;
    default:
      return 2 + mask;
  }
}

// False: there is no payload, or the frame breaks a rule.
bool WebSocketSession::begin_frame() {
  const auto first = static_cast<uint8_t>(header_[0]);
  const auto second = static_cast<uint8_t>(header_[1]);
  const std::string header = std::exchange(header_, {});
  const bool is_final = (first & kFinal) != 0;
  opcode_ = first & 0x0f;
  const bool is_control = opcode_ >= kClose;
  if ((first & kReserved) != 0 || (second & kMasked) == 0) {
    fail(kProtocolError);  // section 5.2; section 5.1
    return false;
  }
  left_ = second & ~kMasked;
  const size_t length_bytes = left_ == 126 ? 2 : left_ == 127 ? 8 : 0;
  if (length_bytes > 0) left_ = 0;
  for (size_t i = 0; i < length_bytes; ++i) left_ = left_ << 8 | static_cast<uint8_t>(header[2 + i]);
  const bool is_known = opcode_ == kContinuation || opcode_ == kText || opcode_ == kBinary || opcode_ == kClose ||
                        opcode_ == kPing || opcode_ == kPong;
  const bool is_out_of_turn = !is_control && (opcode_ == kContinuation) != in_message_;
  if (!is_known || is_out_of_turn || left_ >> 63 != 0 || (is_control && (!is_final || left_ > kControlBytesMax))) {
    fail(kProtocolError);
    return false;
  }
  if (opcode_ == kText) {
    fail(kUnsupported);  // what is bytes comes in binary frames (MQTT 5.0 section 6)
    return false;
  }
  if (!is_control) in_message_ = !is_final;
  std::memcpy(mask_, header.data() + header.size() - 4, 4);
  masked_ = 0;
  control_.clear();
  in_frame_ = left_ > 0;
  if (left_ == 0 && is_control) end_control();
  return in_frame_;
}

void WebSocketSession::end_control() {
  if (opcode_ == kClose) {
    state_ = State::kEnded;
    // With the code it was given (section 5.5.1), which where there is one has two bytes.
    append_close(std::string_view(control_).substr(0, control_.size() < 2 ? 0 : 2));
  } else if (opcode_ == kPing && answers_.empty()) {
    append_header(answers_, kPong, control_.size());
    answers_.append(control_);
  }
  control_.clear();
}

void WebSocketSession::fail(uint16_t code) {
  state_ = State::kFailed;
  append_close(code_bytes(code));
}

void WebSocketSession::append_close(std::string_view code) {
  if (std::exchange(said_goodbye_, true)) return;
  if (!output_.empty()) {
    append_header(answers_, kBinary, output_.size());
    answers_.append(std::exchange(output_, {}));
  }
  append_header(answers_, kClose, code.size());
  answers_.append(code);
}

void WebSocketSession::close() {
  if (state_ == State::kOpen) append_close(code_bytes(kNormal));
}

void WebSocketSession::take_output(std::string& wire) {
  wire.append(std::exchange(answers_, {}));
  if (state_ == State::kHandshake || output_.empty()) return;
  if (!said_goodbye_) {
    append_header(wire, kBinary, output_.size());
    wire.append(output_);
  }
  output_.clear();
}

size_t WebSocketSession::take_request(std::string_view bytes) {
  const size_t before = request_.size();
  request_.append(bytes.substr(0, kRequestBytesMax + 1 - std::min(before, kRequestBytesMax)));
  // Parsed once it is whole.
  const bool is_whole = request_.find("\r\n\r\n", before < 3 ? 0 : before - 3) != std::string::npos;
  if (!is_whole && request_.size() <= kRequestBytesMax) return 0;
  RequestParser parser({.head_bytes_max = kRequestBytesMax});
  if (parser.parse(request_) != HeadProgress::kDone) {
    refuse("400 Bad Request");
    return 0;
  }
  const RequestHead& head = parser.head();
  const size_t rest = before + bytes.size() - parser.head_bytes();
  const TargetParts target = split_target(head.method, head.target);
  if (target.path != offer_->path) {
    refuse("404 Not Found");
    return 0;
  }
  if (head.method != "GET" || head.minor_version < 1 || parser.framing().kind != BodyFraming::Kind::kNone) {
    refuse("400 Bad Request");
    return 0;
  }
  if (!list_has(head.fields, "Connection", "upgrade") || !list_has(head.fields, "Upgrade", "websocket") ||
      find_field(head.fields, "Sec-WebSocket-Version") != "13") {
    refuse("426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13");
    return 0;
  }
  const std::string_view key = find_field(head.fields, "Sec-WebSocket-Key").value_or(std::string_view());
  if (!is_key(key) || !list_has(head.fields, "Sec-WebSocket-Protocol", offer_->protocol)) {
    refuse("400 Bad Request");
    return 0;
  }
  if (const auto origin = find_field(head.fields, "Origin")) {
    const bool is_own =
        *origin == "http://" + std::string(parser.host()) || *origin == "https://" + std::string(parser.host());
    const bool is_named = std::ranges::any_of(
        offer_->origins, [&](const std::string& named) { return named == "*" || named == *origin; });
    if (!is_own && !is_named) {
      refuse("403 Forbidden");
      return 0;
    }
  }
  state_ = State::kOpen;
  answers_.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
      .append("Sec-WebSocket-Accept: ")
      .append(accept_of(key))
      .append("\r\nSec-WebSocket-Protocol: ")
      .append(offer_->protocol)
      .append("\r\n\r\n");
  request_ = {};
  return rest;
}

void WebSocketSession::refuse(std::string_view status_line) {
  state_ = State::kFailed;
  said_goodbye_ = true;
  answers_.append("HTTP/1.1 ").append(status_line).append("\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  request_ = {};
}

}  // namespace verge::net
