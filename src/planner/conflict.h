// Why an AssignmentProblem has no solution: a small set of jobs that cannot all be placed, and what keeps them from it.
//
// First by counting (Hall): jobs that only some agents suit and that together want more of a resource than those have.
// Then by relaxation: the fewest jobs that stay without an agent, bounded from below by the Lagrangian of an agent more
// that takes whatever is left, for one each; above zero, not all fit. Else by search: jobs are added, the most
// constrained first, until backtracking proves that they do not fit together. From what either of them proves is left
// out what the proof does without, jobs and kinds of constraints, so that nothing that remains can be spared as far as
// they can tell. The smaller set wins, that of counting when they are as large. All of it is bounded in steps and time:
// what cannot be proven within them is not claimed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
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

// By counting alone, which is quick.
std::optional<Conflict> count_conflict(const AssignmentProblem& problem);

// `jobs`, not all of which can be placed as somebody proved, without those that `is_impossible` can do without: halves
// first, then single ones, until the time is over.
std::vector<uint32_t> without_spare_jobs(std::vector<uint32_t> jobs,
                                         const std::function<bool(const std::vector<uint32_t>&)>& is_impossible,
                                         std::chrono::steady_clock::time_point end);

// These jobs alone, with the resources that are heeded (one that nobody wants, where none is) and the spreads that
// still concern two of them; jobs are numbered as in `jobs`.
AssignmentProblem restricted(const AssignmentProblem& problem, const std::vector<uint32_t>& jobs,
                             const std::vector<bool>& heeded, bool heeds_spreads);

}  // namespace verge::planner
