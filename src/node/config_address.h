// Addresses as people write them in the configuration. Syntax only: nothing is looked up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::node {

struct HostAndPort {
  std::string host;  // a name or an address; an IPv6 address without its brackets
  uint16_t port = 0;
  bool operator==(const HostAndPort&) const = default;
};

// "host:port", "192.0.2.1:port" or "[2001:db8::1]:port", port 0 (any free one) to 65535. Error: config.address.
Result<HostAndPort> parse_listen_address(std::string_view text);

struct ParentAddress {
  HostAndPort at;
  bool tls = false;
  bool operator==(const ParentAddress&) const = default;
};

// "http://host[:port]" or "https://host[:port]" with an optional trailing slash, port 1 to 65535, 80 or 443 when there
// is none. Error: config.url.
Result<ParentAddress> parse_parent_url(std::string_view text);

// host:port of what parse_parent_url() takes, to be resolved and for the Host field.
std::string authority_of_parent(std::string_view url);

struct WebhookUrl {
  bool tls = false;
  std::string host;       // an IPv6 address without its brackets
  std::string authority;  // host:port
  std::string target;     // path and query
  [[nodiscard]] std::string origin() const { return (tls ? "https://" : "http://") + authority; }
};

// "http://host[:port][/path][?query]" or https. Error: config.url.
Result<WebhookUrl> parse_webhook_url(std::string_view text);

// "nats://host[:port]", port 1 to 65535, 4222 when there is none. Error: config.url.
Result<HostAndPort> parse_nats_url(std::string_view text);

}  // namespace verge::node
