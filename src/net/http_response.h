// What a server answers, and how its head is written (RFC 9112 section 4, RFC 9110 section 15).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/http_codec.h"

namespace verge::net {

// Views only: what they show must live until the call that the response is given to returns.
struct HttpResponse {
  int status = 200;
  std::string_view content_type;  // may be empty
  // Written in this order. Content-Length, Transfer-Encoding and Connection are the server's own and left out here; a
  // Date replaces the server's.
  std::vector<HttpField> fields;
  std::string_view body;
};

// The head of an answer that comes from elsewhere and is passed on, as a proxy does. Views only, as above.
struct HttpResponseHead {
  int status = 200;
  std::string_view reason;  // empty: the usual one
  // Written in this order; what is between the origin and its proxy only (RFC 9110 section 7.6.1) is removed by the
  // caller. Content-Length, Transfer-Encoding and Connection are the server's own and left out here.
  std::span<const HttpField> fields;
  bool adds_date = true;  // where the fields have none
};

// "Not Found"; "Unknown" for a status without a name.
std::string_view reason_phrase(int status);
// Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 section 5.6.7).
std::string http_date(WallTime time);

// False when a field or the content type could not be written without changing the message around it.
bool can_be_written(const HttpResponse& response);
bool can_be_written(const HttpResponseHead& head);
bool can_be_written(std::span<const HttpField> fields);

// Appends the head; `response.body` is not looked at. `connection` is "close", "keep-alive" or empty for none.
void append_response_head(std::string& out, const HttpResponse& response, const BodyFraming& framing,
                          std::string_view connection, std::string_view date);
void append_response_head(std::string& out, const HttpResponseHead& head, const BodyFraming& framing,
                          std::string_view connection, std::string_view date);

}  // namespace verge::net
