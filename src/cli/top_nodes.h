// The nodes that a node knows, as a section of `verge top`: itself, those that are not live, and the live ones as the
// tree that they are.
#pragma once

#include <simdjson.h>

#include "cli/top_layout.h"

namespace verge::cli {

// `tree`: what /v1/tree answers, with a self.
TopSection nodes_section(const simdjson::dom::element& tree, const TopLook& look);

}  // namespace verge::cli
