// verge rules: list, explain, test, trace and measure rules.
#pragma once

#include "cli/commands.h"

namespace verge::cli {

void add_rules(Command& app, Outcome& outcome);

}  // namespace verge::cli
