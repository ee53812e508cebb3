// HttpServer: HTTP/1.1 and HTTP/2 connections on one loop; each request is handed to one receiver, whole, and answered
// by its HttpResponder (RFC 9112 section 9: persistence, pipelining, time-outs, closing; RFC 9113).
//
// HTTP/2 is what TLS agreed on (ALPN "h2"), or what a connection without TLS begins with (RFC 9113 section 3.3).
// Receivers cannot tell: see http2_connection.h. What follows is of HTTP/1.1.
//
// What the head of a request says is decided before its body: a HeadReceiver answers at once what is not admitted, and
// says how long the body of the rest may be. "100 Continue" goes out after that.
//
// A connection handles one request at a time; what a client sends meanwhile waits, at most pipelined_bytes_max of it,
// then the connection is not read. The same holds while the client does not take the answers (output_bytes_max). After
// an error that leaves input unread, input is discarded for `linger` before the connection closes, since closing at
// once would reset it and could destroy the answer on its way (RFC 9112 section 9.6). Bodies that are being received
// count together, and those of one sender; the one that is too much is refused with 503.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/body_room.h"
#include "net/http_exchange.h"
#include "net/stream.h"
#include "runtime/loop.h"

namespace verge::net {

struct HttpServerLimits {
  HeadLimits head;
  // Above it: 413, before a byte of the body is read where the length is known. Only without a HeadReceiver.
  size_t body_bytes_max = 1U << 20;
  size_t pipelined_bytes_max = 64U << 10;
  size_t output_bytes_max = 256U << 10;
  // Received of bodies that are not whole yet, of all and of one sender (BodyRoom); above it: 503.
  size_t bodies_bytes_max = 256U << 20;
  size_t sender_bodies_bytes_max = 64U << 20;
  size_t connections_max = 10'000;                   // above it: 503
  size_t streams_max = 100;                          // of one HTTP/2 connection at a time
  Duration head_timeout = std::chrono::seconds(10);  // from the first byte of a head to its last; then 408
  // A body that stands still so long, or has fallen so far behind body_bytes_a_second, is answered 408.
  Duration body_timeout = std::chrono::seconds(30);
  size_t body_bytes_a_second = 8U << 10;
  // When a body that was due then has to go on, `bytes` of it having come at `now`.
  [[nodiscard]] MonotonicTime body_due(MonotonicTime due, size_t bytes, MonotonicTime now) const {
    const auto earned = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(body_bytes_a_second)));
    return std::min(due + earned, now + body_timeout);
  }
  Duration idle_timeout = std::chrono::seconds(75);  // without a request, or with output that nobody takes
  Duration linger = std::chrono::seconds(1);
  Duration drain_grace = std::chrono::seconds(1);  // while draining, for a request to come whole and an answer to go
};

// May answer before it returns or keep the responder. It must not destroy the server.
using RequestReceiver = std::function<void(const HttpRequest&, HttpResponder)>;

// How long the body of an admitted request may be.
struct BodyLimit {
  size_t bytes_max = 0;
  std::string_view name;  // of the limit, for people; a literal
};

// Called with the head of each request, its `body` empty. Either answers by the responder before it returns, with
// respond(), and gives nothing; then the body, if there is one, is not read, and the connection closes. Or leaves the
// responder alone and admits the request: the RequestReceiver gets it when its body is there.
using HeadReceiver = std::function<std::optional<BodyLimit>(const HttpRequest&, HttpResponder&)>;

// A request that no receiver was given: it is malformed, too large, too slow, or one too many. What it was is empty as
// far as it is not known.
struct RefusedRequest {
  const Address& peer;
  int status = 0;
  std::string_view method, target, host;
  std::string_view protocol;  // "HTTP/1.1", "HTTP/2.0"
};
using RefusalReceiver = std::function<void(const RefusedRequest&)>;

// How a connection gets its bytes, where not from its socket; for tests.
using StreamMaker = std::function<std::unique_ptr<Stream>(runtime::Loop&, Socket, StreamObserver&)>;

class Http2Stream;
class HttpConnection;
class HttpServerConnection;

class HttpServer final : private runtime::TurnEnd {
 public:
  // `loop` outlives the server. Without `make_stream`, connections are TCP, with TLS where the socket speaks it.
  HttpServer(runtime::Loop& loop, const HttpServerLimits& limits, RequestReceiver receiver,
             StreamMaker make_stream = {});
  // Before the first connection.
  void decide_by_head(HeadReceiver receiver) { head_receiver_ = std::move(receiver); }
  // Likewise; is told of each answer that the server gave by itself.
  void when_refused(RefusalReceiver receiver) { refusal_receiver_ = std::move(receiver); }
  // Closes all connections; responders that are still about do nothing from then on.
  ~HttpServer() override;

  // Takes over a connection that a listener accepted.
  void accept(Socket socket);
  // Closes idle connections, lets others end the request that they are at (drain_grace for one that is not whole yet),
  // and calls `drained` when none is left; `drained` may destroy the server. Sockets accepted meanwhile are closed.
  void drain(std::function<void()> drained);
  // While draining: ends the connections that are left, whatever they are at.
  void cut_off();
  [[nodiscard]] size_t connections() const { return connections_.size(); }

 private:
  friend class HttpConnection;
  friend class Http2Connection;
  friend class Http2Stream;
  friend struct Http2Callbacks;
  void on_turn_end() override;
  // Destroys the connection at the end of the turn.
  void remove(HttpServerConnection& connection);
  // It turned out to speak HTTP/2, and has sent `bytes` so far: it is destroyed at the end of the turn.
  void change_to_http2(HttpConnection& from, std::unique_ptr<Stream> stream, std::string_view bytes);
  // One that was used before, where there is one.
  [[nodiscard]] std::unique_ptr<Http2Stream> take_stream();
  void keep_stream(std::unique_ptr<Http2Stream> stream);
  [[nodiscard]] const std::string& date();

  runtime::Loop& loop_;
  const HttpServerLimits limits_;
  RequestReceiver receiver_;
  HeadReceiver head_receiver_;
  RefusalReceiver refusal_receiver_;
  StreamMaker make_stream_;
  std::vector<std::unique_ptr<Http2Stream>> spare_streams_;
  std::vector<std::unique_ptr<HttpServerConnection>> connections_;
  std::vector<std::unique_ptr<HttpServerConnection>> replaced_;
  std::vector<HttpServerConnection*> removed_;
  std::string head_scratch_;
  BodyRoom body_room_;
  std::string date_;
  MonotonicTime date_until_{};
  bool draining_ = false;
  MonotonicTime drain_until_{};  // for requests to come whole
  std::function<void()> drained_;
};

}  // namespace verge::net
