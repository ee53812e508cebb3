// What a cache asks of a request, found in one pass over its fields. Views into the message; see net::HttpRequest.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cache/cache_control.h"
#include "net/http_exchange.h"

namespace verge::cache {

// Which fields are there that matter to a cache.
struct RequestTraits {
  bool cache_control = false;
  bool conditional = false;         // If-None-Match or If-Modified-Since
  bool origin_conditional = false;  // If-Match or If-Unmodified-Since: the origin's to judge
  bool range = false;
  bool authorization = false;
  bool upgrade = false;
  bool accept_encoding = false;
  // Connection names a field that is no connection's: it does not reach the origin, though the answer is chosen by it.
  bool hides_fields = false;
};
RequestTraits traits_of(std::span<const net::HttpField> fields);

// The URL by which answers are kept: scheme, host in lower case and without a final dot, port unless it is the
// scheme's, and the target as it was sent. Nothing is decoded or sorted: what the origin could tell apart stays apart.
void append_url(std::string& out, bool is_secure, std::string_view host, std::string_view path, std::string_view query);
std::string url_of(bool is_secure, std::string_view host, std::string_view path, std::string_view query);

// Such a URL, or a beginning of one, from what a person wrote: scheme and host in any case, with the scheme's port; of
// a URL also without a path.
std::string plain_url(std::string_view text);
std::string plain_url_prefix(std::string_view text);

// Of such a URL: host[:port], as it is compared; what the origin sees of it, so that nothing else can show in answers.
std::string_view authority_of(std::string_view url);

// The query without the parameters that one of `ignored` names: as written, or, where it ends in "*", all that begin
// so. The others stay as they are, in their order.
std::string query_without(std::string_view query, std::span<const std::string> ignored);
// A Cookie without the cookie of that name; empty when that was all.
std::string cookies_without(std::string_view cookies, std::string_view name);

// Whether the field could change an answer without being part of the key, and is known to be used to poison caches so:
// it is not passed on. X-Forwarded-For, -Proto and -Host, and Forwarded, are made anew.
bool is_unkeyed_input(std::string_view name);

}  // namespace verge::cache
