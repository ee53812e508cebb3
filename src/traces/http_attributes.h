// Attributes of OpenTelemetry's semantic conventions for HTTP that are made of a method, a URL or a Host field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "traces/span.h"

namespace verge::traces {

struct ServerName {
  std::string address;
  std::optional<int64_t> port;
};

// "host", "host:8080", "[::1]:8080", as a Host field or the authority of a URL has it; what may stand before an @ is
// left out. The port that a scheme has by itself where none is named ("http", "https", "ws", "wss"; others: none).
ServerName server_name(std::string_view authority, std::string_view scheme);

// An absolute URL as url.full: without the query, which may be a secret, the fragment, and what names a user.
std::string full_url(std::string_view url);

// Adds http.request.method, and returns what a span of such a request is called: the method. One that is not of HTTP,
// which whoever asks may make up, is _OTHER, in a span called HTTP, and stands in http.request.method_original.
std::string add_method(std::vector<Attribute>& to, std::string_view method);

// error.type of a status: itself, as text.
std::string error_type(int64_t status);

}  // namespace verge::traces
