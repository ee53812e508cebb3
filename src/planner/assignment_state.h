// An assignment that local search changes job by job: its value, the room left everywhere, and what it costs to exceed
// capacities and spreads, each kept up to date by place() and take().
//
// Exceeding has a price, the agent's own, that the search raises where it was exceeded for long and lowers elsewhere
// (strategic oscillation, as in Yagiura, Ibaraki and Glover 2004).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/assignment_problem.h"

namespace verge::planner {

class AssignmentState {
 public:
  // `capacity_prices`: what a unit of each agent's resources is worth, [resource * agents + agent].
  AssignmentState(const AssignmentProblem& problem, const std::vector<double>& capacity_prices);

  // Every job floats.
  void clear();
  void place(uint32_t job, uint32_t agent);
  void take(uint32_t job);

  // What place() would add to the value and the penalties; and what take() would, which is mostly negative.
  [[nodiscard]] double placing(uint32_t job, uint32_t agent) const {
    const size_t at = job * agents_ + agent;
    double difference = cost_[at];
    if (resources_ == 1) {
      const double room = room_[agent];
      difference += penalty_[agent] * (std::min(0.0, room) - std::min(0.0, room - weight_[at]));
    } else {
      difference += overload(agent, &weight_[at * resources_], -1);
    }
    return is_plain_ ? difference : difference + placing_beside(job, agent);
  }
  [[nodiscard]] double taking(uint32_t job) const;

  [[nodiscard]] uint32_t agent_of(uint32_t job) const { return assignment_[job]; }
  [[nodiscard]] const std::vector<uint32_t>& jobs_of(uint32_t agent) const { return jobs_of_[agent]; }
  [[nodiscard]] const Assignment& assignment() const { return assignment_; }
  [[nodiscard]] double cost(uint32_t job, uint32_t agent) const { return cost_[job * agents_ + agent]; }
  [[nodiscard]] double value() const { return value_; }
  // Value and penalties.
  [[nodiscard]] double total() const;
  [[nodiscard]] bool is_feasible() const { return exceeded_ == 0 && crowded_ == 0; }

  void adapt_penalties(double more, double less);

 private:
  [[nodiscard]] double overload(uint32_t agent, const double* weights, double sign) const;
  [[nodiscard]] double placing_beside(uint32_t job, uint32_t agent) const;
  void use_room(uint32_t agent, const double* weights, double sign);

  const AssignmentProblem& problem_;
  const size_t agents_;
  const size_t resources_;
  const bool is_plain_;          // no opening costs, no spreads
  std::vector<double> cost_;     // [job * agents + agent]
  std::vector<double> weight_;   // [(job * agents + agent) * resources + resource]
  std::vector<double> unit_;     // a fair penalty of one unit too much: [agent * resources + resource]
  std::vector<double> penalty_;  // the one in force
  std::vector<double> room_;     // negative: exceeded
  std::vector<std::vector<uint32_t>> jobs_of_;
  std::vector<uint32_t> position_;
  Assignment assignment_;
  std::vector<std::vector<uint32_t>> spreads_of_;     // of a job
  std::vector<std::vector<uint32_t>> spread_counts_;  // [spread][domain]
  double value_ = 0;
  double spread_penalty_ = 1;
  double usual_cost_ = 1;
  int exceeded_ = 0;  // (agent, resource) pairs beyond their capacity
  int crowded_ = 0;   // jobs too many in their domains
};

}  // namespace verge::planner
