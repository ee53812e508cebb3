// What a client sends as the head of a request (RFC 9112 section 3).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http_codec.h"

namespace verge::net {

// Views only: what they show must live until the call that the head is given to returns.
struct HttpRequestHead {
  std::string_view method = "GET";
  std::string_view target = "/";
  std::string_view authority;  // for Host, which is written first
  // Written in this order. Host, Content-Length, Transfer-Encoding, Connection and Upgrade are the client's own and
  // left out here.
  std::span<const HttpField> fields;
  BodyFraming framing;                      // kNone, kLength or kChunked
  std::optional<std::string_view> upgrade;  // the protocol to change to (RFC 9110 section 7.8)
};

// Error: http.bad-request, when it could not be written without changing the message around it; `out` has no meaning
// then.
Result<void> append_request_head(std::string& out, const HttpRequestHead& head);

// Of the methods that may be sent twice without harm, those in common use (RFC 9110 section 9.2.2).
bool is_idempotent(std::string_view method);

}  // namespace verge::net
