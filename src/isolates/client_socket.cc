#include "isolates/client_socket.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "calls/socket_frames.h"
#include "net/http_message.h"

namespace verge::isolates {
namespace {

namespace websocket = net::websocket;

constexpr Duration kLookEvery = std::chrono::seconds(5);

// Of a list of tokens: whether `token` is one of them.
bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
    while (one.ends_with(' ') || one.ends_with('\t')) one.remove_suffix(1);
    if (net::equals_ignoring_case(one, token)) return true;
  }
  return false;
}

bool is_servers_own(std::string_view name) {
  for (const std::string_view own : {"connection", "upgrade", "content-length", "transfer-encoding",
                                     "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-version"}) {
    if (net::equals_ignoring_case(name, own)) return true;
  }
  return false;
}

}  // namespace

ClientSocket::Offer ClientSocket::offer_of(const net::HttpRequest& request, const net::HttpResponder& responder) {
  const bool asks = request.method == "GET" && request.body.empty() && request.protocol == "HTTP/1.1" &&
                    !responder.is_for_old_client() && has_token(request.field("upgrade").value_or(""), "websocket") &&
                    has_token(request.field("connection").value_or(""), "upgrade") &&
                    request.field("sec-websocket-version").value_or("") == "13";
  if (!asks) return {};
  const std::string_view key = request.field("sec-websocket-key").value_or("");
  if (!websocket::is_key(key)) return {};
  return {.key = std::string(key), .protocols = std::string(request.field("sec-websocket-protocol").value_or(""))};
}

ClientSocket::ClientSocket(runtime::Loop& loop, net::HttpResponder responder, Call& call, std::function<void()> over)
    : loop_(loop),
      responder_(std::move(responder)),
      call_(call),
      over_(std::move(over)),
      messages_(net::WebSocketMessages::Role::kServer, calls::kMessageBytesMax),
      looking_(loop),
      ending_(loop) {}

ClientSocket::~ClientSocket() {
  // Who destroys it without an end has it closed at once.
  responder_.when_drained({});
}

void ClientSocket::open(const Offer& offer, std::span<const net::HttpField> fields) {
  const std::string accept = websocket::accept_of(offer.key);
  std::vector<net::HttpField> ours = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", accept}};
  for (const net::HttpField& field : fields) {
    const bool is_protocol = net::equals_ignoring_case(field.name, "sec-websocket-protocol");
    if (is_servers_own(field.name) || (is_protocol && !has_token(offer.protocols, field.value))) continue;
    ours.push_back(field);
  }
  heard_ = message_ = loop_.now();
  responder_.when_closed({});
  responder_.when_drained([this] { settle(); });
  responder_.switch_protocols({.status = 101, .reason = {}, .fields = ours}, *this);
  looking_.after(kLookEvery, [this] { look(); });
}

// --- From the worker

void ClientSocket::send(bool is_text, std::string_view payload) {
  if (sent_close_ || is_over_) return;
  message_ = loop_.now();
  wire_.clear();
  messages_.append_message(wire_, is_text, payload);
  responder_.write(wire_);
  owed_messages_.push_back(payload.size());
  settle();
}

// Gives the worker room for what the client took.
void ClientSocket::settle() {
  if (responder_.queued_bytes() > kQueuedBytesMax) return;
  for (const size_t bytes : std::exchange(owed_messages_, {})) call_.message_taken(bytes);
  pause_or_go_on();
}

void ClientSocket::end(uint16_t code, std::string_view reason) {
  if (is_over_ || sent_close_) return;
  write_close(code == websocket::kNoCode || websocket::may_be_sent(code) ? code : websocket::kInternalError, reason);
  if (got_close_) finish();
}

void ClientSocket::take_room() {
  worker_is_full_ = false;
  pause_or_go_on();
}

void ClientSocket::leave(uint16_t code, std::string_view reason) {
  if (is_over_) return;
  if (!sent_close_) write_close(code, reason);
  tell_worker(code, reason, /*is_clean=*/false);
  if (got_close_) finish();
}

void ClientSocket::write_close(uint16_t code, std::string_view reason) {
  sent_close_ = true;
  closing_ = loop_.now();
  wire_.clear();
  messages_.append_close(wire_, code, reason);
  responder_.write(wire_);
}

// --- From the client

void ClientSocket::on_raw_bytes(std::string_view bytes) {
  heard_ = loop_.now();
  pinged_ = false;
  if (is_over_ || got_close_) return;
  if (is_paused_ || reading_) {
    unread_.append(bytes);
    return;
  }
  read(bytes);
}

void ClientSocket::read(std::string_view bytes) {
  reading_ = true;
  while (!bytes.empty() && !messages_.is_over() && !is_over_) {
    bytes.remove_prefix(messages_.receive(bytes, *this));
    if (!worker_is_full_ && responder_.queued_bytes() <= kQueuedBytesMax) continue;
    unread_.insert(0, bytes);
    break;
  }
  reading_ = false;
  pause_or_go_on();
}

void ClientSocket::pause_or_go_on() {
  if (reading_ || is_over_) return;
  const bool waits = worker_is_full_ || responder_.queued_bytes() > kQueuedBytesMax;
  if (waits != is_paused_) {
    is_paused_ = waits;
    if (waits) {
      responder_.pause_reading();
    } else {
      responder_.resume_reading();
    }
  }
  if (!waits && !unread_.empty()) read(std::exchange(unread_, {}));
}

void ClientSocket::on_message(bool is_text, std::string_view payload) {
  message_ = loop_.now();
  // What comes behind the worker's close it is not told.
  if (told_worker_ || call_.send_message(is_text, payload)) return;
  worker_is_full_ = true;
  messages_.stop();
}

void ClientSocket::on_ping(std::string_view payload) {
  if (sent_close_) return;
  wire_.clear();
  messages_.append_pong(wire_, payload);
  responder_.write(wire_);
  if (responder_.queued_bytes() > kQueuedBytesMax) messages_.stop();
}

void ClientSocket::on_close(uint16_t code, std::string_view reason) {
  got_close_ = true;
  tell_worker(code, reason, /*is_clean=*/true);
  if (sent_close_) return finish();
  closing_ = loop_.now();  // the worker answers
}

void ClientSocket::on_broken(uint16_t code, std::string_view why) {
  if (!sent_close_) write_close(code, why);
  tell_worker(websocket::kAbnormal, {}, /*is_clean=*/false);
  finish();
}

void ClientSocket::on_raw_end() {
  tell_worker(websocket::kAbnormal, {}, /*is_clean=*/false);
  finish();
}

void ClientSocket::tell_worker(uint16_t code, std::string_view reason, bool is_clean) {
  if (std::exchange(told_worker_, true)) return;
  call_.send_close(code, reason, is_clean);
}

void ClientSocket::finish() {
  if (std::exchange(is_over_, true)) return;
  looking_.cancel();
  responder_.when_drained({});
  responder_.finish();
  call_.end_socket();
  ending_.after(Duration(0), [this] { std::exchange(over_, nullptr)(); });
}

void ClientSocket::look() {
  looking_.after(kLookEvery, [this] { look(); });
  const MonotonicTime now = loop_.now();
  if (sent_close_ || got_close_) {
    if (now - closing_ < kCloseMax) return;
    if (!sent_close_) write_close(websocket::kNormal, {});
    tell_worker(websocket::kAbnormal, {}, /*is_clean=*/false);
    return finish();
  }
  if (now - message_ >= kIdleMax) return leave(websocket::kGoingAway, "no message for 10 minutes");
  if (is_paused_ || now - heard_ < kPingAfter) return;
  if (pinged_ && now - heard_ >= 2 * kPingAfter) {
    tell_worker(websocket::kAbnormal, {}, /*is_clean=*/false);
    return finish();
  }
  if (std::exchange(pinged_, true)) return;
  wire_.clear();
  messages_.append_ping(wire_);
  responder_.write(wire_);
}

}  // namespace verge::isolates
