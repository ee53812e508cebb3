// All addresses that a name of a server stands for.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/address.h"

namespace verge::net {

inline constexpr size_t kResolvedMax = 16;

// "HOST:PORT", also with a number for the host: its addresses, those to be tried first first, each once, kResolvedMax
// at most and one at least. Errors and blocking: as Address::resolve().
Result<std::vector<Address>> resolve_all(std::string_view host_and_port);

// Whether the host is no number and not "localhost", so that what it stands for may change.
bool is_name(std::string_view host_and_port);

}  // namespace verge::net
