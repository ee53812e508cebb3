#include "cache/request_view.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace verge::cache {
namespace {

// By which origins take another client, host, path, scheme or method for the request's own; beside all that begin with
// "x-forwarded".
constexpr std::array<std::string_view, 24> kUnkeyed = {"client-ip",           "forwarded",
                                                       "front-end-https",     "proxy",
                                                       "true-client-ip",      "x-client-ip",
                                                       "x-cluster-client-ip", "x-host",
                                                       "x-host-override",     "x-http-host-override",
                                                       "x-http-method",       "x-http-method-override",
                                                       "x-method-override",   "x-original-forwarded-for",
                                                       "x-original-host",     "x-original-uri",
                                                       "x-original-url",      "x-override-url",
                                                       "x-proxy-url",         "x-proxy-user",
                                                       "x-real-ip",           "x-remote-addr",
                                                       "x-rewrite-url",       "x-url-scheme"};
constexpr std::string_view kUnkeyedBeginning = "x-forwarded";

// What Connection names where nobody means harm.
constexpr std::array<std::string_view, 7> kOfConnections = {"close",          "keep-alive", "upgrade",         "te",
                                                            "http2-settings", "trailer",    "proxy-connection"};

// Of fields that the cache sets or strips; many origins take an underscore in a name for a hyphen.
constexpr std::array<std::string_view, 6> kOurs = {"content-length", "transfer-encoding", "cdn-loop",
                                                   "if-none-match",  "if-modified-since", "keep-alive"};

bool hides_fields(std::string_view connection) {
  while (!connection.empty()) {
    const std::string_view member = connection.substr(0, connection.find(','));
    connection.remove_prefix(std::min(connection.size(), member.size() + 1));
    const auto is = [name = net::trim_blanks(member)](std::string_view one) {
      return net::equals_ignoring_case(one, name);
    };
    if (!is("") && std::ranges::none_of(kOfConnections, is)) return true;
  }
  return false;
}

}  // namespace

RequestTraits traits_of(std::span<const net::HttpField> fields) {
  RequestTraits traits;
  for (const net::HttpField& field : fields) {
    // Lengths tell nearly all other fields apart.
    switch (field.name.size()) {
      case 5:
        traits.range |= net::equals_ignoring_case(field.name, "range");
        break;
      case 7:
        traits.upgrade |= net::equals_ignoring_case(field.name, "upgrade");
        break;
      case 8:
        traits.origin_conditional |= net::equals_ignoring_case(field.name, "if-match");
        break;
      case 10:
        if (net::equals_ignoring_case(field.name, "connection")) traits.hides_fields |= hides_fields(field.value);
        break;
      case 13:
        traits.cache_control |= net::equals_ignoring_case(field.name, "cache-control");
        traits.conditional |= net::equals_ignoring_case(field.name, "if-none-match");
        traits.authorization |= net::equals_ignoring_case(field.name, "authorization");
        break;
      case 15:
        traits.accept_encoding |= net::equals_ignoring_case(field.name, "accept-encoding");
        break;
      case 17:
        traits.conditional |= net::equals_ignoring_case(field.name, "if-modified-since");
        break;
      case 19:
        traits.origin_conditional |= net::equals_ignoring_case(field.name, "if-unmodified-since");
        break;
      default:
        break;
    }
  }
  return traits;
}

void append_url(std::string& out, bool is_secure, std::string_view host, std::string_view path,
                std::string_view query) {
  out.append(is_secure ? "https://" : "http://");
  const std::string_view usual_port = is_secure ? ":443" : ":80";
  if (host.ends_with(usual_port)) host.remove_suffix(usual_port.size());
  if (host.ends_with('.')) host.remove_suffix(1);
  for (const char c : host) out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  out.append(path);
  if (!query.empty()) out.append("?").append(query);
}

std::string url_of(bool is_secure, std::string_view host, std::string_view path, std::string_view query) {
  std::string url;
  append_url(url, is_secure, host, path, query);
  return url;
}

std::string plain_url_prefix(std::string_view text) {
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return std::string(text);
  const size_t path = text.find_first_of("/?", scheme + 3);
  std::string head = lower(text.substr(0, path));
  if (path == std::string_view::npos) return head;
  return url_of(head.starts_with("https:"), std::string_view(head).substr(scheme + 3), text.substr(path), {});
}

std::string plain_url(std::string_view text) {
  const size_t scheme = text.find("://");
  const bool has_path =
      scheme != std::string_view::npos && text.find_first_of("/?", scheme + 3) != std::string_view::npos;
  return plain_url_prefix(has_path ? std::string(text) : std::string(text) + "/");
}

std::string_view authority_of(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  const size_t end = url.find_first_of("/?");
  // "OPTIONS *" has no path; a host may have the character too.
  if (end == std::string_view::npos && url.ends_with('*')) url.remove_suffix(1);
  return url.substr(0, end);
}

std::string query_without(std::string_view query, std::span<const std::string> ignored) {
  std::string kept;
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    const std::string_view name = parameter.substr(0, parameter.find('='));
    const bool is_ignored = std::ranges::any_of(ignored, [&](std::string_view pattern) {
      return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
    });
    if (!is_ignored) kept.append(kept.empty() ? "" : "&").append(parameter);
  }
  return kept;
}

std::string cookies_without(std::string_view cookies, std::string_view name) {
  std::string kept;
  while (!cookies.empty()) {
    const std::string_view pair = cookies.substr(0, cookies.find(';'));
    cookies.remove_prefix(std::min(cookies.size(), pair.size() + 1));
    const std::string_view plain = net::trim_blanks(pair);
    if (plain.empty() || plain.substr(0, plain.find('=')) == name) continue;
    kept.append(kept.empty() ? "" : "; ").append(plain);
  }
  return kept;
}

bool is_unkeyed_input(std::string_view name) {
  const auto is = [&](std::string_view one) { return net::equals_ignoring_case(one, name); };
  const auto is_unkeyed = [&] {
    return net::equals_ignoring_case(name.substr(0, kUnkeyedBeginning.size()), kUnkeyedBeginning) ||
           std::ranges::any_of(kUnkeyed, is);
  };
  if (!name.contains('_')) return is_unkeyed();
  std::string meant(name);
  std::ranges::replace(meant, '_', '-');
  name = meant;
  return is_unkeyed() || std::ranges::any_of(kOurs, is);
}

}  // namespace verge::cache
