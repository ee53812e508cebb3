#include "isolates/socket_records.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/random.h"
#include "base/text.h"
#include "calls/socket_frames.h"

namespace verge::isolates {
namespace {

namespace websocket = net::websocket;

constexpr uint8_t kText = 1;
constexpr uint8_t kBytes = 2;
constexpr uint8_t kClose = 8;
constexpr size_t kHeadBytes = 5;

}  // namespace

SocketRecords::SocketRecords()
    : key_(base64(system_entropy(16))), messages_(net::WebSocketMessages::Role::kClient, calls::kMessageBytesMax) {}

bool SocketRecords::is_accepted_by(std::string_view accept) const { return accept == websocket::accept_of(key_); }

void SocketRecords::receive(std::string_view bytes, std::string& records, std::string& wire) {
  records_ = &records;
  wire_ = &wire;
  messages_.receive(bytes, *this);
}

void SocketRecords::end(std::string& records) {
  records_ = &records;
  append_close(websocket::kAbnormal, {});
}

void SocketRecords::take(std::string_view records, std::string& wire) {
  wire_ = &wire;
  record_.append(records);
  size_t at = 0;
  while (record_.size() - at >= kHeadBytes && !sent_close_) {
    const auto type = static_cast<uint8_t>(record_[at]);
    uint32_t size = 0;
    std::memcpy(&size, record_.data() + at + 1, sizeof(size));
    const bool is_sound =
        size <= calls::kMessageBytesMax && (type == kText || type == kBytes || (type == kClose && size >= 2));
    if (!is_sound) return write_close(websocket::kProtocolError, {});
    if (record_.size() - at < kHeadBytes + size) break;
    const std::string_view payload = std::string_view(record_).substr(at + kHeadBytes, size);
    at += kHeadBytes + size;
    if (type != kClose) {
      messages_.append_message(wire, type == kText, payload);
      continue;
    }
    uint16_t code = 0;
    std::memcpy(&code, payload.data(), sizeof(code));
    write_close(code, payload.substr(2));
  }
  record_.erase(0, at);
}

void SocketRecords::write_close(uint16_t code, std::string_view reason) {
  if (std::exchange(sent_close_, true)) return;
  const bool may_be = code == websocket::kNoCode || websocket::may_be_sent(code);
  messages_.append_close(*wire_, may_be ? code : websocket::kInternalError, reason);
}

void SocketRecords::append_record(uint8_t type, std::string_view payload) {
  append_fixed(*records_, type);
  append_fixed(*records_, static_cast<uint32_t>(payload.size()));
  records_->append(payload);
}

void SocketRecords::append_close(uint16_t code, std::string_view reason) {
  if (std::exchange(got_close_, true)) return;
  std::string payload;
  append_fixed(payload, code);
  append_record(kClose, payload.append(reason));
}

void SocketRecords::on_message(bool is_text, std::string_view payload) {
  append_record(is_text ? kText : kBytes, payload);
}

void SocketRecords::on_ping(std::string_view payload) {
  if (!sent_close_) messages_.append_pong(*wire_, payload);
}

void SocketRecords::on_close(uint16_t code, std::string_view reason) { append_close(code, reason); }

void SocketRecords::on_broken(uint16_t code, std::string_view why) {
  broken_ = true;
  write_close(code, why);
  append_close(websocket::kAbnormal, {});
}

}  // namespace verge::isolates
