// Why an AssignmentProblem has no solution: a small set of jobs that cannot all be placed, and what keeps them from it.
//
// First by counting (Hall): jobs that only some agents suit and that together want more of a resource than those have.
// Then by search: jobs are added, the most constrained first, until backtracking proves that they do not fit together;
// then each is left out that the proof does without, and each kind of constraint likewise, so that nothing that
// remains can be spared. The search is bounded: what it cannot prove within its steps it does not claim.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/assignment_problem.h"

namespace verge::planner {

struct Conflict {
  std::vector<uint32_t> jobs;
  std::vector<uint32_t> agents;     // that suit one of them
  std::vector<uint32_t> resources;  // whose capacities are in the way
  bool is_about_spreads = false;    // being apart is
  double wanted = 0;                // by counting: of the one resource, together
  double there = 0;                 // by counting: the agents' capacity of it; 0 when found by search
};

std::optional<Conflict> find_conflict(const AssignmentProblem& problem);

}  // namespace verge::planner
