// The commands below `verge plan`.
#pragma once

#include "cli/commands.h"

namespace verge::cli {

void add_plan_latency(CLI::App& plan, Outcome& outcome);
void add_plan_select(CLI::App& plan, Outcome& outcome);
void add_plan_replicate(CLI::App& plan, Outcome& outcome);
void add_plan_place(CLI::App& plan, Outcome& outcome);
void add_plan_protocol(CLI::App& plan, Outcome& outcome);
void add_plan_roi(CLI::App& plan, Outcome& outcome);
void add_plan_advise(CLI::App& plan, Outcome& outcome);

}  // namespace verge::cli
