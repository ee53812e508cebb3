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

class HttpConnection;

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
  bool peer_is_verified = false;  // it showed a certificate, which was verified

  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const { return find_field(fields, name); }
};

// The right and the duty to answer one request, once, at any time, on the loop of its connection: with respond(), or
// with start_stream(), any number of write() and finish(). All of them do nothing once the client has gone. Dropped
// unanswered, it sends 500; dropped in the middle of a stream, it breaks the connection, so that the client does not
// take a part for the whole.
class HttpResponder {
 public:
  HttpResponder() = default;
  explicit HttpResponder(HttpConnection& connection);
  HttpResponder(HttpResponder&& other) noexcept;
  HttpResponder& operator=(HttpResponder&& other) noexcept;
  ~HttpResponder();

  // The client is there and waits.
  [[nodiscard]] bool is_open() const { return connection_ != nullptr; }

  void respond(const HttpResponse& response);

  // Sends the head and `response.body` as the first piece; the length stays open (chunked, or until the connection
  // closes for HTTP/1.0).
  void start_stream(const HttpResponse& response);
  void write(std::string_view piece);
  void finish();
  // Bytes that the client has not taken yet: who streams without end stops above a limit until when_drained calls.
  [[nodiscard]] size_t queued_bytes() const;
  // `drained` is called each time that what was written is all gone, in a later turn of the loop.
  void when_drained(std::function<void()> drained);
  // `closed` is called, once, when the client goes before the answer is complete.
  void when_closed(std::function<void()> closed);

 private:
  friend class HttpConnection;
  void settle();

  HttpConnection* connection_ = nullptr;  // knows this responder in turn
  bool answered_ = false;
  bool streaming_ = false;
};

}  // namespace verge::net
