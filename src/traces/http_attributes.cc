#include "traces/http_attributes.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace verge::traces {

ServerName server_name(std::string_view authority, std::string_view scheme) {
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  ServerName made;
  if (scheme == "http" || scheme == "ws") made.port = 80;
  if (scheme == "https" || scheme == "wss") made.port = 443;
  const size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  if (has_port) {
    const std::string_view text = authority.substr(colon + 1);
    uint16_t port = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (problem == std::errc{} && end == text.data() + text.size()) made.port = port;
    authority = authority.substr(0, colon);
  }
  if (authority.size() > 2 && authority.front() == '[' && authority.back() == ']') {
    authority = authority.substr(1, authority.size() - 2);
  }
  made.address = authority;
  return made;
}

std::string full_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t begin = url.find("://");
  if (begin == std::string_view::npos) return std::string(url);
  const size_t host = begin + 3;
  const std::string_view authority = url.substr(host, std::min(url.find('/', host), url.size()) - host);
  const size_t at = authority.rfind('@');
  std::string made(url.substr(0, host));
  return made.append(url.substr(at == std::string_view::npos ? host : host + at + 1));
}

std::string add_method(std::vector<Attribute>& to, std::string_view method) {
  // RFC 9110, RFC 5789, and the one for queries with a body.
  static constexpr std::string_view kKnown[] = {"CONNECT", "DELETE", "GET", "HEAD",  "OPTIONS",
                                                "PATCH",   "POST",   "PUT", "QUERY", "TRACE"};
  if (std::ranges::find(kKnown, method) != std::end(kKnown)) {
    to.push_back({"http.request.method", std::string(method)});
    return std::string(method);
  }
  to.push_back({"http.request.method", std::string("_OTHER")});
  to.push_back({"http.request.method_original", std::string(method)});
  return "HTTP";
}

std::string error_type(int64_t status) { return std::to_string(status); }

}  // namespace verge::traces
