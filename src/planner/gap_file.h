// Instances of the generalised assignment problem as the OR-Library writes them: agents and jobs; the cost of each job
// for each agent, agent by agent; what each uses; the agents' capacities. Numbers between blanks and line ends, whole
// or not. To be minimised.
#pragma once

#include <string_view>

#include "planner/assignment_problem.h"

namespace verge::planner {

// `name` is for messages; `capacities_line`, where it is given, becomes the line of the first capacity. Errors:
// plan.gap-file.
Result<AssignmentProblem> parse_gap(std::string_view text, std::string_view name, size_t* capacities_line = nullptr);

}  // namespace verge::planner
