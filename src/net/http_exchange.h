// One request and its answer, as a server's receiver sees them.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "base/payload.h"
#include "net/address.h"
#include "net/http_message.h"
#include "net/http_response.h"

namespace verge::net {

class HttpResponder;

// All but `body`, which only a RequestReceiver is given, are views that last until the receiver returns; who answers
// later copies what is still needed.
struct HttpRequest {
  std::string_view method;
  std::string_view target;  // as sent
  std::string_view host;    // the authority asked for; empty where HTTP/1.0 names none
  std::string_view path;    // not percent-decoded
  std::string_view query;
  std::span<const HttpField> fields;
  Payload body;
  const Address& peer;
  bool peer_is_verified = false;           // it showed a certificate, which was verified
  bool is_secure = false;                  // it came over TLS
  std::string_view protocol = "HTTP/1.1";  // a literal

  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const { return find_field(fields, name); }
};

// What a client sends after its connection changed to another protocol.
class RawObserver {
 public:
  virtual ~RawObserver() = default;
  // `bytes` is good until return.
  virtual void on_raw_bytes(std::string_view bytes) = 0;
  // The client has gone, or the server ended the connection; the responder does nothing any more. Called at most once.
  virtual void on_raw_end() = 0;
};

// Where the answer to one request goes: an HTTP/1.1 connection, which has one request at a time, or a stream of an
// HTTP/2 connection. It and its responder know each other, so that either may go first. What the calls mean stands at
// the HttpResponder, which alone makes them.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  void link(HttpResponder* responder) { responder_ = responder; }

  virtual void respond(const HttpResponse& response) = 0;
  virtual void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) = 0;
  virtual void send_interim(int status, std::span<const HttpField> fields) = 0;
  virtual void start_stream(const HttpResponse& response) = 0;
  virtual void start(const HttpResponseHead& head, const BodyFraming& framing) = 0;
  virtual void write_piece(std::string_view piece) = 0;
  virtual void write_piece(const Payload& bytes, size_t offset, size_t size) = 0;
  virtual void finish_stream(std::span<const HttpField> trailers) = 0;
  [[nodiscard]] virtual bool is_old() const = 0;
  virtual void switch_protocols(const HttpResponseHead& head, RawObserver& observer) = 0;
  virtual void pause_raw(bool paused) = 0;
  // The responder goes without an answer, or in the middle of one.
  virtual void drop(bool streaming) = 0;
  [[nodiscard]] virtual size_t queued_bytes() const = 0;
  virtual void when_drained(std::function<void()> drained) = 0;
  virtual void when_closed(std::function<void()> closed) = 0;

 protected:
  // The responder, if there is one, does nothing from now on.
  void forget_responder();

  HttpResponder* responder_ = nullptr;
};

// The right and the duty to answer one request, once, at any time, on the loop of its connection: with respond() or
// respond_prepared(), or with start() or start_stream(), any number of write() and finish(). All of them do nothing
// once the client has gone. Dropped unanswered, it sends 500; dropped in the middle of a stream, it breaks the
// connection, so that the client does not take a part for the whole.
class HttpResponder {
 public:
  HttpResponder() = default;
  explicit HttpResponder(HttpExchange& exchange);
  HttpResponder(HttpResponder&& other) noexcept;
  HttpResponder& operator=(HttpResponder&& other) noexcept;
  ~HttpResponder();

  // The client is there and waits.
  [[nodiscard]] bool is_open() const { return exchange_ != nullptr; }

  void respond(const HttpResponse& response);
  // The quick way: `head` is the status line and all fields, Content-Length (where the status has one) and Date
  // included, each ended by CR LF; the body is `size` bytes of `body` from `offset` on, of which large ones are not
  // copied. The server adds Connection where it is needed, the empty line, and the body unless the request is HEAD.
  void respond_prepared(std::string_view head, const Payload& body = {}, size_t offset = 0, size_t size = 0);

  // An interim answer (RFC 9110 section 15.2) but 101, at once; any number before the answer itself. Left out where it
  // cannot be: to HTTP/1.0 clients, to those that do not take what they get, with a field that cannot be written.
  void send_interim(int status, std::span<const HttpField> fields = {});

  // Sends the head of an answer whose body follows in pieces. kLength: exactly so many bytes; to write more is a bug,
  // and to finish with less breaks the connection. kChunked, kUntilClose: the length is not known (chunked, or until
  // the connection closes for HTTP/1.0). kNone: no body. The answer to HEAD shows a length that is known; what is
  // written to it is dropped, as to the statuses that have no body.
  void start(const HttpResponseHead& head, const BodyFraming& framing);
  // Sends the head and `response.body` as the first piece; the length stays open (chunked, or until the connection
  // closes for HTTP/1.0).
  void start_stream(const HttpResponse& response);
  void write(std::string_view piece);
  // `size` bytes of `bytes` from `offset` on; large pieces are not copied.
  void write(const Payload& bytes, size_t offset, size_t size);
  // Trailers go to HTTP/1.1 clients behind a chunked body; elsewhere, and where one cannot be written, they are left
  // out.
  void finish(std::span<const HttpField> trailers = {});

  // The client speaks HTTP/1.0: it knows no interim answers, chunks or other protocols.
  [[nodiscard]] bool is_for_old_client() const;
  // Sends `head`, whose status is 101, with its Upgrade field; `Connection: upgrade` is the server's. From then on what
  // the client sends goes to `observer`, first what it sent ahead (in a later callback), and write() sends bytes as
  // they are. finish() closes when they are sent; a responder that is dropped closes at once; both end the calls to the
  // observer, which outlives them. What when_closed() was given is not called any more. To an HTTP/1.0 client nothing
  // can be switched: the connection ends.
  void switch_protocols(const HttpResponseHead& head, RawObserver& observer);
  // After switch_protocols(): what the client sends waits at the client.
  void pause_reading();
  void resume_reading();

  // Bytes that the client has not taken yet: who streams without end stops above a limit until when_drained calls.
  [[nodiscard]] size_t queued_bytes() const;
  // `drained` is called each time that what was written is all gone, in a later turn of the loop.
  void when_drained(std::function<void()> drained);
  // `closed` is called, once, when the client goes before the answer is complete.
  void when_closed(std::function<void()> closed);

 private:
  friend class HttpExchange;
  void settle();

  HttpExchange* exchange_ = nullptr;  // knows this responder in turn
  bool answered_ = false;
  bool streaming_ = false;
};

}  // namespace verge::net
