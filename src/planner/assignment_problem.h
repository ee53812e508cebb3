// The programme behind `verge plan place`: each job goes to exactly one agent.
//
//     minimise   Σ cost[i][j] · x[i][j] + Σ opening[i] · y[i]
//     subject to Σ_i x[i][j] = 1             for each job j
//                x[i][j] <= y[i]
//                Σ_j weight[r][i][j] · x[i][j] <= capacity[r][i]   for each resource r and agent i
//                x[i][j] = 0                 where cost[i][j] is infinite (beyond its latency limit, unsuitable, …)
//                spreads: no more than `most` jobs of a group in one domain (a node, a zone)
//
// Without opening costs and spreads and with one resource it is the generalised assignment problem of the OR-Library.
// Indices count from 0. All numbers are finite and not negative, but for costs, which may be infinite.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace verge::planner {

inline constexpr double kForbidden = std::numeric_limits<double>::infinity();
inline constexpr uint32_t kUnassigned = UINT32_MAX;

// What keeps jobs apart: of `jobs`, at most `most` in one domain.
struct Spread {
  std::vector<uint32_t> jobs;
  std::vector<uint32_t> domain_of_agent;
  uint32_t domains = 0;
  uint32_t most = 1;
};

struct AssignmentProblem {
  size_t agents = 0;
  size_t jobs = 0;
  size_t resources = 1;
  std::vector<double> cost;      // [agent * jobs + job]
  std::vector<double> weight;    // [(resource * agents + agent) * jobs + job]
  std::vector<double> capacity;  // [resource * agents + agent]
  std::vector<double> opening;   // [agent]; empty: nothing
  std::vector<Spread> spreads;

  [[nodiscard]] double cost_of(size_t agent, size_t job) const { return cost[agent * jobs + job]; }
  [[nodiscard]] double weight_of(size_t resource, size_t agent, size_t job) const {
    return weight[(resource * agents + agent) * jobs + job];
  }
  [[nodiscard]] double capacity_of(size_t resource, size_t agent) const { return capacity[resource * agents + agent]; }
  [[nodiscard]] double opening_of(size_t agent) const { return opening.empty() ? 0 : opening[agent]; }
  // Whether every solution's value is a whole number: then a bound may be rounded up.
  [[nodiscard]] bool has_whole_costs() const;
};

using Assignment = std::vector<uint32_t>;  // the agent of each job, or kUnassigned

// The value of an assignment in which each job has an agent. Infinite when one is where it must not be.
double value_of_assignment(const AssignmentProblem& problem, std::span<const uint32_t> assignment);

// Whether each job has an agent that it may have, no capacity is exceeded and every spread holds.
bool is_feasible(const AssignmentProblem& problem, std::span<const uint32_t> assignment);

// (value - bound) / value, in percent; 0 when the value is 0.
double gap_percent(double value, double bound);

}  // namespace verge::planner
