// A network: an IP address and how many of its first bits count, written "10.0.0.0/8", "fd00::/8", or one address.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/address.h"

namespace verge::net {

class Network {
 public:
  // Error: net.network. Bits behind the prefix must be 0: what is written is what is meant.
  static Result<Network> parse(std::string_view text);

  // IPv4 in IPv6 clothes is IPv4.
  [[nodiscard]] bool contains(const Address& address) const;
  [[nodiscard]] std::string text() const;
  bool operator==(const Network&) const = default;

 private:
  std::string ip_;  // 4 or 16 bytes
  unsigned bits_ = 0;
};

bool any_contains(std::span<const Network> networks, const Address& address);

}  // namespace verge::net
