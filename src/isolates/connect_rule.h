// Which hosts and ports a worker may connect to by TCP: what its configuration lists, nothing else.
//
//   "db.internal:5432"     that name, whatever public or private address it has
//   "*.example.net:443"    all names below example.net that have a public address
//   "127.0.0.1:6379"       that address; so "[::1]:6379", "localhost:6379"
//
// Addresses of this machine and its link are reached only where they are listed as such: a name cannot lead there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/address.h"

namespace verge::isolates {

struct ConnectRule {
  std::string host;  // in lower case, an address as inet_ntop(3) writes it; of a wildcard what follows the '*'
  uint16_t port = 0;
  bool is_wildcard = false;
  bool is_literal = false;  // an address, or localhost
  bool operator==(const ConnectRule&) const = default;
};

// Error: workers.connect-rule.
Result<ConnectRule> parse_connect_rule(std::string_view text);

struct HostAndPort {
  std::string host;  // as of a ConnectRule
  uint16_t port = 0;
  [[nodiscard]] std::string text() const;
};
// "db.internal:5432", "[::1]:6379". Error: workers.connect.
Result<HostAndPort> parse_host_and_port(std::string_view text);

// The rule that speaks for it; the narrowest, if several do. Error: workers.connect, which says what to configure.
Result<const ConnectRule*> rule_for(std::span<const ConnectRule> rules, const HostAndPort& wanted,
                                    std::string_view worker);
// Whether by that rule what the host resolved to may be connected to. Error: workers.connect.
Result<void> may_connect(const ConnectRule& rule, const HostAndPort& wanted, const net::Address& address);

}  // namespace verge::isolates
