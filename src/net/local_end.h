// LocalEnd: where a connection leaves this machine, where the system's routes are not to decide: from a local address,
// or over a network interface.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "net/address.h"

namespace verge::net {

struct LocalEnd {
  Address address;        // its port is 0; of no family: any
  std::string interface;  // such as "wwan0"; empty: any

  // An IP address or the name of an interface; empty: as the system likes. Neither needs to be there now. Error:
  // net.local-end.
  static Result<LocalEnd> parse(std::string_view text);

  // For a socket of `family` that is not connected yet. Error: net.local-end.
  [[nodiscard]] Result<void> bind(int socket, int family) const;
};

}  // namespace verge::net
