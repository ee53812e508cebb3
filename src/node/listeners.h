// What a configuration listens on, and what is wrong with that.
#pragma once

#include "base/error.h"
#include "node/config.h"

namespace verge::node {

// Of a configuration that reads well: listeners at which strangers could do something (config.exposed; see
// docs/security.md), those that would take the same address (config.address-twice), and a parent that is this node
// itself.
ConfigProblems check_listeners(const Config& config);

// So that a first start that cannot listen leaves no directory behind. Names are looked up when they are listened on.
// Errors: those of Socket::listen().
Result<void> check_addresses_are_free(const Config& config);

}  // namespace verge::node
