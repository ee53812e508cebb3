// Which addresses the code of workers may reach: by default none that only this machine and its network can
// (server-side request forgery). Decided for the address that is connected to, not for the name, so that a name cannot
// change its mind.
#pragma once

#include <vector>

#include "net/address.h"
#include "net/network.h"

namespace verge::isolates {

struct AddressPolicy {
  bool allows_private = false;        // loopback, private, link-local and all others below
  std::vector<net::Network> allowed;  // besides
};

// Loopback, private (RFC 1918, RFC 4193), link-local (RFC 3927, RFC 4291), shared (RFC 6598), "this network",
// multicast, reserved, and IPv6 addresses that stand for such (mapped, 6to4, NAT64).
bool is_private(const net::Address& address);

// Of these, what is this machine, its link or everybody: loopback, link-local, "this network", multicast, reserved, and
// addresses that may stand for such.
bool is_near(const net::Address& address);

bool may_be_reached(const AddressPolicy& policy, const net::Address& address);

}  // namespace verge::isolates
