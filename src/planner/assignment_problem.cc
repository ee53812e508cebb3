#include "planner/assignment_problem.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

// Sums of many weights may differ in their last bits by the order in which they were added.
constexpr double kRounding = 1e-9;

}  // namespace

bool AssignmentProblem::has_whole_costs() const {
  const auto is_whole = [](double number) { return std::isinf(number) || number == std::floor(number); };
  return std::ranges::all_of(cost, is_whole) && std::ranges::all_of(opening, is_whole);
}

double value_of_assignment(const AssignmentProblem& problem, std::span<const uint32_t> assignment) {
  double value = 0;
  std::vector<bool> is_open(problem.agents, false);
  for (size_t job = 0; job < problem.jobs; ++job) {
    const uint32_t agent = assignment[job];
    if (agent >= problem.agents) return kForbidden;
    value += problem.cost_of(agent, job);
    is_open[agent] = true;
  }
  for (size_t agent = 0; agent < problem.agents; ++agent) {
    if (is_open[agent]) value += problem.opening_of(agent);
  }
  return value;
}

bool is_feasible(const AssignmentProblem& problem, std::span<const uint32_t> assignment) {
  if (assignment.size() != problem.jobs || std::isinf(value_of_assignment(problem, assignment))) return false;
  for (size_t resource = 0; resource < problem.resources; ++resource) {
    std::vector<double> load(problem.agents, 0);
    for (size_t job = 0; job < problem.jobs; ++job) {
      load[assignment[job]] += problem.weight_of(resource, assignment[job], job);
    }
    for (size_t agent = 0; agent < problem.agents; ++agent) {
      const double capacity = problem.capacity_of(resource, agent);
      if (load[agent] > capacity + kRounding * std::max(1.0, capacity)) return false;
    }
  }
  return std::ranges::all_of(problem.spreads, [&](const Spread& spread) {
    std::vector<uint32_t> members(spread.domains, 0);
    for (const uint32_t job : spread.jobs) ++members[spread.domain_of_agent[assignment[job]]];
    return std::ranges::all_of(members, [&](uint32_t count) { return count <= spread.most; });
  });
}

double gap_percent(double value, double bound) { return value == 0 ? 0 : (value - bound) / std::abs(value) * 100; }

}  // namespace verge::planner
