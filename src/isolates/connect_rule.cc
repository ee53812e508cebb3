#include "isolates/connect_rule.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "isolates/address_policy.h"

namespace verge::isolates {
namespace {

constexpr size_t kHostBytesMax = 253;  // RFC 1035 section 2.3.4, written out

std::optional<HostAndPort> split(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  HostAndPort parts;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
  if (problem != std::errc{} || end != digits.data() + digits.size() || parts.port == 0) return std::nullopt;
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) {
    const Result<net::Address> address = net::Address::parse(text);
    if (!address || address->family() != AF_INET6) return std::nullopt;
    parts.host = address->ip_text();
    return parts;
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (host.empty() || host.size() > kHostBytesMax || !std::ranges::all_of(host, is_good)) return std::nullopt;
  parts.host = lower(host);
  return parts;
}

bool is_literal(const HostAndPort& parts) {
  return parts.host == "localhost" || net::Address::parse(parts.text()).has_value();
}

bool speaks_for(const ConnectRule& rule, const HostAndPort& wanted) {
  if (rule.port != wanted.port) return false;
  if (!rule.is_wildcard) return rule.host == wanted.host;
  // An address is below no name.
  return wanted.host.size() > rule.host.size() && wanted.host.ends_with(rule.host) && !is_literal(wanted);
}

}  // namespace

std::string HostAndPort::text() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<HostAndPort> parse_host_and_port(std::string_view text) {
  std::optional<HostAndPort> parts = split(text);
  if (parts) return *std::move(parts);
  return fail("workers.connect", fmt::format("'{}' is no host with a port", printable(text)),
              "write it as \"db.internal:5432\"");
}

Result<ConnectRule> parse_connect_rule(std::string_view text) {
  const bool is_wildcard = text.starts_with("*.");
  const std::optional<HostAndPort> parts = split(is_wildcard ? text.substr(2) : text);
  if (!parts || (is_wildcard && is_literal(*parts))) {
    return fail("workers.connect-rule", fmt::format("'{}' is no host with a port", printable(text)),
                R"(write it as "db.internal:5432", "*.example.net:443" or "[::1]:6379")");
  }
  return ConnectRule{.host = is_wildcard ? "." + parts->host : parts->host,
                     .port = parts->port,
                     .is_wildcard = is_wildcard,
                     .is_literal = is_literal(*parts)};
}

Result<const ConnectRule*> rule_for(std::span<const ConnectRule> rules, const HostAndPort& wanted,
                                    std::string_view worker) {
  const ConnectRule* found = nullptr;
  for (const ConnectRule& rule : rules) {
    if (speaks_for(rule, wanted) && (found == nullptr || found->is_wildcard)) found = &rule;
  }
  if (found != nullptr) return found;
  return fail("workers.connect", fmt::format("worker {} may not connect to {}", worker, wanted.text()),
              fmt::format("list it in the worker's connect = [\"{}\"]", wanted.text()));
}

Result<void> may_connect(const ConnectRule& rule, const HostAndPort& wanted, const net::Address& address) {
  if (rule.is_literal || !is_private(address)) return {};
  if (is_near(address)) {
    return fail("workers.connect",
                fmt::format("{} is at {}, an address of this machine or its link", wanted.text(), address.ip_text()),
                "list the address itself in connect");
  }
  if (!rule.is_wildcard) return {};
  return fail(
      "workers.connect",
      fmt::format("{} is at {}, a private address, which a wildcard does not reach", wanted.text(), address.ip_text()),
      "list the name itself in connect");
}

}  // namespace verge::isolates
