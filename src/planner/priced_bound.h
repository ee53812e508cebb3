// A lower bound of placements too large to be written down as an AssignmentProblem: each workload's replicas go where
// latency and the prices of what they use are least, on different nodes or zones, and what the nodes' capacities are
// worth is taken off. That is below the value of every placement for any prices that are not negative; they are learnt
// from a sample of the workloads, so that all of them are looked at just once.
#pragma once

#include <span>

#include "planner/scheduler.h"

namespace verge::planner {

// `value`: of a placement that is known.
double priced_bound(std::span<const SchedulerNode> nodes, std::span<const SchedulerWorkload> workloads, double value);

}  // namespace verge::planner
