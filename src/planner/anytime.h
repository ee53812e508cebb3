// The anytime mode of placement: a bound by Lagrangian relaxation, then on every core dives along it and local search
// until the time is over or the bound is reached. The answer comes with what is proven about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "planner/assignment_problem.h"

namespace verge::planner {

struct AnytimeOptions {
  std::chrono::duration<double> time{20};
  unsigned threads = 2;
  uint64_t seed = 1;
};

struct AnytimeAnswer {
  bool is_feasible = false;
  Assignment assignment;  // empty when none was found
  double value = kForbidden;
  double bound = 0;  // no assignment is below it
  bool is_optimal = false;
  // Proven that there is no assignment (by the exact mode alone); and jobs that cannot all be placed, few where time
  // allowed.
  bool is_proven_infeasible = false;
  std::vector<uint32_t> conflicting_jobs;
  // Nothing above the value can be improved by sending a job here: [agent * jobs + job], what the value is at least
  // then.
  std::vector<double> bounds_when_assigned;
};

AnytimeAnswer solve_anytime(const AssignmentProblem& problem, const AnytimeOptions& options);

}  // namespace verge::planner
