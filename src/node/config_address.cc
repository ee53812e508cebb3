#include "node/config_address.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <arpa/inet.h>

#include "base/text.h"

namespace verge::node {
namespace {

constexpr std::string_view kAddress = "config.address";
constexpr std::string_view kUrl = "config.url";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

bool is_ip(int family, std::string_view text) {
  in6_addr address{};
  return inet_pton(family, std::string(text).c_str(), &address) == 1;
}

// What is wrong with it; empty when nothing is.
std::string host_problem(std::string_view host) {
  if (host.empty()) return "has no host";
  if (host.size() > 253) return "has a host of more than 253 characters";
  if (!std::ranges::all_of(host, is_name_character)) return "has a host that is neither a name nor an address";
  const bool numeric = std::ranges::all_of(host, [](char c) { return is_digit(c) || c == '.'; });
  if (numeric && !is_ip(AF_INET, host)) return "has a host that is no IPv4 address";
  return {};
}

// `port_missing`: the port where there is none; nothing: there must be one.
Result<HostAndPort> parse_authority(std::string_view text, std::string_view code,
                                    std::optional<uint16_t> port_missing) {
  const std::string quoted = json_string(text);
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return fail(code, quoted + " has no ] after the IPv6 address");
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!is_ip(AF_INET6, host)) return fail(code, quoted + " has no IPv6 address between its brackets");
    if (!rest.empty() && !rest.starts_with(':'))
      return fail(code, quoted + " goes on after ] with something else than :");
  } else {
    if (std::ranges::count(text, ':') > 1) {
      return fail(code, quoted + " has more than one colon", "put an IPv6 address in brackets: [::1]:1883");
    }
    const size_t colon = std::min(text.find(':'), text.size());
    host = text.substr(0, colon);
    rest = text.substr(colon);
    if (std::string problem = host_problem(host); !problem.empty()) {
      return fail(code, quoted + " " + problem, host.empty() ? "for all interfaces write 0.0.0.0 or [::]" : "");
    }
  }
  if (rest.empty()) {
    if (port_missing) return HostAndPort{std::string(host), *port_missing};
    return fail(code, quoted + " has no port", "write host:port");
  }
  const std::optional<uint16_t> port = parse_port(rest.substr(1));
  if (!port) return fail(code, quoted + " has no port 0..65535 after the last colon");
  return HostAndPort{std::string(host), *port};
}

}  // namespace

Result<HostAndPort> parse_listen_address(std::string_view text) {
  if (text.starts_with("unix:") || text.starts_with('/')) {
    return fail(kAddress, json_string(text) + " is a Unix socket, on which this version does not listen",
                "write host:port");
  }
  if (text.find("://") != std::string_view::npos) {
    return fail(kAddress, json_string(text) + " is a URL", "write host:port alone");
  }
  return parse_authority(text, kAddress, std::nullopt);
}

Result<HostAndPort> parse_nats_url(std::string_view text) {
  constexpr std::string_view kScheme = "nats://";
  // A secret in a URL would be printed with it.
  if (text.contains('@')) {
    return fail(kUrl, "a URL with a user name is not taken", "write nats://host:port, and set store.credentials");
  }
  if (!lower(text.substr(0, kScheme.size())).starts_with(kScheme)) {
    return fail(kUrl, json_string(text) + " does not begin with nats://", "write nats://host:port");
  }
  std::string_view authority = text.substr(kScheme.size());
  if (authority.ends_with('/')) authority.remove_suffix(1);
  if (authority.find_first_of("/?#,") != std::string_view::npos) {
    return fail(kUrl, json_string(text) + " has more than a host and a port", "write nats://host:port");
  }
  Result<HostAndPort> parsed = parse_authority(authority, kUrl, 4222);
  if (parsed && parsed->port == 0) return fail(kUrl, json_string(text) + " has port 0", "write a port 1..65535");
  return parsed;
}

std::string authority_of_parent(std::string_view url) {
  const Result<ParentAddress> parent = parse_parent_url(url);
  if (!parent) return {};
  const bool is_v6 = parent->at.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + parent->at.host + "]" : parent->at.host) + ":" + std::to_string(parent->at.port);
}

Result<WebhookUrl> parse_webhook_url(std::string_view text) {
  // A secret in a URL would be printed with it.
  if (text.contains('@')) return fail(kUrl, "a URL with '@' is not taken", "write https://host/path");
  const bool is_plain = std::ranges::all_of(text, [](char byte) { return byte > ' ' && byte < '\x7f'; });
  if (!is_plain || text.contains('#')) {
    return fail(kUrl, json_string(text) + " has characters that no URL to send to has",
                "write them as %20, and no '#'");
  }
  const size_t scheme = text.find("://");
  const size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t end = std::min(text.find_first_of("/?", begin), text.size());
  const Result<ParentAddress> server = parse_parent_url(text.substr(0, end));
  if (!server) return std::unexpected(server.error());
  WebhookUrl url{.tls = server->tls, .host = server->at.host, .authority = {}, .target = std::string(text.substr(end))};
  url.authority = fmt::format("{}:{}", url.host.contains(':') ? "[" + url.host + "]" : url.host, server->at.port);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

Result<ParentAddress> parse_parent_url(std::string_view text) {
  const std::string lowered = lower(text.substr(0, 8));
  const bool tls = lowered == "https://";
  if (!tls && !lowered.starts_with("http://")) {
    return fail(kUrl, json_string(text) + " begins with neither http:// nor https://", "write https://host:port");
  }
  std::string_view authority = text.substr(tls ? 8 : 7);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  if (authority.find_first_of("/?#@") != std::string_view::npos) {
    return fail(kUrl, json_string(text) + " has more than a host and a port", "write https://host:port");
  }
  Result<HostAndPort> parsed = parse_authority(authority, kUrl, tls ? 443 : 80);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  if (parsed->port == 0) return fail(kUrl, json_string(text) + " has port 0", "write a port 1..65535");
  return ParentAddress{.at = std::move(*parsed), .tls = tls};
}

}  // namespace verge::node
