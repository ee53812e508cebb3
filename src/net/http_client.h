// HttpClient: requests to one origin over one kept-alive connection, one after the other (RFC 9112 section 9).
//
// Requests wait in a bounded queue while another is under way; the time-out of each counts from request() and covers
// that wait, connecting and the whole answer, so a peer that says nothing any more costs no more than that. A
// connection that is lost is opened again for the next request.
//
// A request whose connection breaks before the answer is complete fails with http.closed: whether the origin has done
// it is unknown, and the caller decides. The one exception: an idempotent request (GET, HEAD, OPTIONS, PUT, DELETE) on
// a connection that had been idle, of whose answer nothing had come, is sent once more on a new connection.
//
// With TLS, the server's name is verified before a byte of a request is sent, and an answer that lasts until the
// connection ends is complete only if TLS was ended too (RFC 9112 section 9.8).
//
// Codes: http.queue-full, http.bad-request (it could not be written as one), http.connect-refused, http.connect-failed,
// http.connect-timeout, http.timeout, http.closed, http.bad-answer, http.body-too-long; of TLS: net.tls-untrusted,
// net.tls-handshake.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/payload.h"
#include "net/connecting.h"
#include "net/http_codec.h"
#include "net/stream.h"
#include "net/tls_context.h"
#include "runtime/loop.h"

namespace verge::net {

struct HttpClientLimits {
  HeadLimits head;
  size_t body_bytes_max = 16U << 20;
  size_t requests_max = 64;                            // waiting and under way
  Duration connect_timeout = std::chrono::seconds(5);  // for TCP, and again for TLS
  // A connection unused for longer is not trusted: servers close theirs after about as much.
  Duration idle_max = std::chrono::seconds(60);
};

// What is asked. The views need to last for the call of request() only.
struct HttpCall {
  std::string_view method = "GET";
  std::string_view target = "/";
  std::vector<HttpField> fields;  // Host, Content-Length, Transfer-Encoding and Connection are the client's own
  Payload body;
  Duration timeout = std::chrono::seconds(30);
};

struct HttpAnswer {
  int status = 0;
  std::span<const HttpField> fields;  // until the callback returns
  Payload body;

  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const { return find_field(fields, name); }
};

struct HttpClientExchange;

class HttpClient final : private StreamObserver {
 public:
  // Called once for each request, never from within request(), and never after the client is destroyed. It may make
  // further requests and may destroy the client.
  using Answered = std::move_only_function<void(Result<HttpAnswer>)>;

  // `host`: for the Host field. `tls`: none for plain TCP. `loop` outlives the client.
  HttpClient(runtime::Loop& loop, const Address& address, std::string host, const HttpClientLimits& limits = {},
             std::shared_ptr<const TlsContext> tls = nullptr, LocalEnd from = {});
  // Closes the connection; requests under way are dropped without a call.
  ~HttpClient() override;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void request(const HttpCall& call, Answered answered);

  // Requests not answered yet.
  [[nodiscard]] size_t pending() const { return exchanges_.size(); }
  [[nodiscard]] bool is_connected() const { return stream_ != nullptr; }
  // On the wire, over all connections: taken by the kernel and received from it.
  [[nodiscard]] uint64_t bytes_sent() const;
  [[nodiscard]] uint64_t bytes_received() const { return received_bytes_; }

 private:
  struct Failure {
    Answered answered;
    Error error;
  };

  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;

  void fail_later(Answered answered, Error error);
  void call_failures();
  // Sends the first request if there is one and it is not under way, connecting where needed.
  void pump();
  void connect();
  void on_connected(Socket socket);
  void on_connect_failed(const Error& error);
  void on_timeout(HttpClientExchange& exchange);
  // The first request has its answer. The last thing a caller does: the client may be gone afterwards.
  void complete(bool keeps_connection);
  void fail_first(Error error);
  void close_stream();

  runtime::Loop& loop_;
  const Address address_;
  const std::string host_;
  const HttpClientLimits limits_;
  const std::shared_ptr<const TlsContext> tls_;
  const LocalEnd from_;
  std::deque<std::unique_ptr<HttpClientExchange>> exchanges_;
  std::unique_ptr<Connecting> connecting_;
  std::unique_ptr<TcpStream> stream_;
  bool reused_ = false;  // the connection has carried an answer
  MonotonicTime idle_since_{};
  uint64_t sent_bytes_ = 0;  // over connections that are gone
  uint64_t received_bytes_ = 0;
  std::vector<Failure> failures_;
  runtime::Timer failing_;
  bool* gone_ = nullptr;  // set when the client is destroyed by one of its callbacks
};

}  // namespace verge::net
