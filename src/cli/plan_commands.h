// The commands below `verge plan`.
#pragma once

#include "cli/commands.h"

namespace verge::cli {

void add_plan_latency(Command& plan, Outcome& outcome);
void add_plan_select(Command& plan, Outcome& outcome);
void add_plan_replicate(Command& plan, Outcome& outcome);
void add_plan_place(Command& plan, Outcome& outcome);
void add_plan_protocol(Command& plan, Outcome& outcome);
void add_plan_roi(Command& plan, Outcome& outcome);
void add_plan_advise(Command& plan, Outcome& outcome);

}  // namespace verge::cli
