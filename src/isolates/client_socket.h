// ClientSocket: a client's WebSocket (RFC 6455) that a worker answers: frames on the client's side, whole messages of
// at most calls::kMessageBytesMax on the worker's.
//
// Each side waits for the slower one: while the worker has no room nothing is read from the client, and while the
// client does not take what is sent the worker gets no room. Clients that say nothing are pinged, and are gone when
// they do not answer; a connection on which no message passes for kIdleMax is closed (1001). When one side closes, the
// other has kCloseMax to answer.
//
// Threading: on its loop.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "isolates/call.h"
#include "net/http_exchange.h"
#include "net/websocket_messages.h"
#include "runtime/loop.h"

namespace verge::isolates {

class ClientSocket final : private net::RawObserver, private net::WebSocketObserver {
 public:
  static constexpr Duration kPingAfter = std::chrono::seconds(30);
  static constexpr Duration kIdleMax = std::chrono::minutes(10);
  static constexpr Duration kCloseMax = std::chrono::seconds(10);

  // What a request that asks for a WebSocket must have (section 4.2.1).
  struct Offer {
    std::string key;        // empty: it does not ask for one, or not as it should
    std::string protocols;  // Sec-WebSocket-Protocol
  };
  static Offer offer_of(const net::HttpRequest& request, const net::HttpResponder& responder);

  // `call` outlives it. `over` is called once, at the end, in a turn of its own; it may destroy the socket.
  ClientSocket(runtime::Loop& loop, net::HttpResponder responder, Call& call, std::function<void()> over);
  ~ClientSocket() override;
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  // Switches; `fields` are the worker's, of which those that are the server's are left out.
  void open(const Offer& offer, std::span<const net::HttpField> fields);

  // From the worker.
  void send(bool is_text, std::string_view payload);
  void end(uint16_t code, std::string_view reason);
  void take_room();
  // The worker is gone: the client is told `code`.
  void leave(uint16_t code, std::string_view reason);

 private:
  static constexpr size_t kQueuedBytesMax = 256U << 10;

  void on_raw_bytes(std::string_view bytes) override;
  void on_raw_end() override;
  void on_message(bool is_text, std::string_view payload) override;
  void on_ping(std::string_view payload) override;
  void on_close(uint16_t code, std::string_view reason) override;
  void on_broken(uint16_t code, std::string_view why) override;

  void read(std::string_view bytes);
  // Reads no more for now, or goes on.
  void pause_or_go_on();
  void settle();
  void write_close(uint16_t code, std::string_view reason);
  void tell_worker(uint16_t code, std::string_view reason, bool is_clean);
  void finish();
  void look();

  runtime::Loop& loop_;
  net::HttpResponder responder_;
  Call& call_;
  std::function<void()> over_;
  net::WebSocketMessages messages_;
  std::string wire_;    // scratch
  std::string unread_;  // came while reading was stopped
  size_t owed_ = 0;     // bytes of messages that the worker gets no room for yet, as the next
  std::vector<size_t> owed_messages_;
  bool worker_is_full_ = false;
  bool is_paused_ = false;
  bool reading_ = false;  // read() is at work
  bool sent_close_ = false;
  bool got_close_ = false;
  bool told_worker_ = false;  // of the end
  bool is_over_ = false;
  bool pinged_ = false;
  MonotonicTime heard_{};    // bytes of the client's
  MonotonicTime message_{};  // either way
  MonotonicTime closing_{};  // since when one side has closed
  runtime::Timer looking_;
  runtime::Timer ending_;
};

}  // namespace verge::isolates
