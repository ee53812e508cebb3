// The exact mode of placement: the anytime mode first; then what its bound leaves open, the reduced core, goes to CBC.
//
// An agent whose choice for a job would already cost as much as the best assignment known is left out of the core; what
// remains has few variables, and CBC needs only to find something better or to prove that there is nothing. Where there
// is no assignment at all, the time that is left goes into finding few jobs that already do not fit together.
#pragma once

#include "planner/anytime.h"

namespace verge::planner {

// Within the time, of which the anytime mode takes a part. Errors: plan.solver.
Result<AnytimeAnswer> solve_exactly(const AssignmentProblem& problem, const AnytimeOptions& options);

}  // namespace verge::planner
