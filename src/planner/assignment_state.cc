#include "planner/assignment_state.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

constexpr double kTolerance = 1e-9;
constexpr double kPenaltyMin = 0.3;  // of the fair one
constexpr double kPenaltyMax = 1e4;

}  // namespace

AssignmentState::AssignmentState(const AssignmentProblem& problem, const std::vector<double>& capacity_prices)
    : problem_(problem),
      agents_(problem.agents),
      resources_(problem.resources),
      is_plain_(problem.opening.empty() && problem.spreads.empty()),
      cost_(problem.jobs * problem.agents),
      weight_(problem.jobs * problem.agents * problem.resources),
      unit_(problem.agents * problem.resources),
      room_(problem.agents * problem.resources),
      jobs_of_(problem.agents),
      position_(problem.jobs, 0),
      assignment_(problem.jobs, kUnassigned),
      spreads_of_(problem.jobs) {
  double cost_sum = 0;
  size_t costs = 0;
  for (size_t job = 0; job < problem.jobs; ++job) {
    for (size_t agent = 0; agent < agents_; ++agent) {
      const double cost = problem.cost_of(agent, job);
      cost_[job * agents_ + agent] = cost;
      cost_sum += std::isfinite(cost) ? cost : 0;
      costs += std::isfinite(cost) ? 1 : 0;
      for (size_t resource = 0; resource < resources_; ++resource) {
        weight_[(job * agents_ + agent) * resources_ + resource] = problem.weight_of(resource, agent, job);
      }
    }
  }
  usual_cost_ = costs == 0 ? 1 : std::max(1e-3, cost_sum / static_cast<double>(costs));
  for (size_t resource = 0; resource < resources_; ++resource) {
    double prices = 0;
    double capacity = 0;
    for (size_t agent = 0; agent < agents_; ++agent) {
      prices += capacity_prices[resource * agents_ + agent];
      capacity += problem.capacity_of(resource, agent);
    }
    // Where capacity is worth nothing, exceeding it still costs about what a job's share of it does.
    const double usual = capacity > 0 ? usual_cost_ * static_cast<double>(problem.jobs) / capacity : usual_cost_;
    const double mean = std::max(prices / static_cast<double>(agents_), 0.1 * usual);
    for (size_t agent = 0; agent < agents_; ++agent) {
      unit_[agent * resources_ + resource] = std::max(mean, capacity_prices[resource * agents_ + agent]);
    }
  }
  penalty_ = unit_;
  for (double& penalty : penalty_) penalty *= 2;
  spread_penalty_ = 2 * usual_cost_;
  for (uint32_t spread = 0; spread < problem.spreads.size(); ++spread) {
    for (const uint32_t job : problem.spreads[spread].jobs) spreads_of_[job].push_back(spread);
  }
  clear();
}

void AssignmentState::clear() {
  for (std::vector<uint32_t>& jobs : jobs_of_) jobs.clear();
  spread_counts_.clear();
  for (const Spread& spread : problem_.spreads) spread_counts_.emplace_back(spread.domains, 0);
  std::ranges::fill(assignment_, kUnassigned);
  value_ = 0;
  exceeded_ = 0;
  crowded_ = 0;
  for (size_t agent = 0; agent < agents_; ++agent) {
    for (size_t resource = 0; resource < resources_; ++resource) {
      room_[agent * resources_ + resource] = problem_.capacity_of(resource, agent);
    }
  }
}

void AssignmentState::use_room(uint32_t agent, const double* weights, double sign) {
  double* const room = &room_[agent * resources_];
  for (size_t resource = 0; resource < resources_; ++resource) {
    const bool before = room[resource] < -kTolerance;
    room[resource] -= sign * weights[resource];
    exceeded_ += static_cast<int>(room[resource] < -kTolerance) - static_cast<int>(before);
  }
}

void AssignmentState::take(uint32_t job) {
  const uint32_t from = assignment_[job];
  value_ -= cost_[job * agents_ + from];
  use_room(from, &weight_[(job * agents_ + from) * resources_], -1);
  std::vector<uint32_t>& jobs = jobs_of_[from];
  position_[jobs.back()] = position_[job];
  jobs[position_[job]] = jobs.back();
  jobs.pop_back();
  assignment_[job] = kUnassigned;
  if (is_plain_) return;
  if (jobs.empty()) value_ -= problem_.opening_of(from);
  for (const uint32_t spread : spreads_of_[job]) {
    uint32_t& count = spread_counts_[spread][problem_.spreads[spread].domain_of_agent[from]];
    if (count > problem_.spreads[spread].most) --crowded_;
    --count;
  }
}

void AssignmentState::place(uint32_t job, uint32_t agent) {
  assignment_[job] = agent;
  value_ += cost_[job * agents_ + agent];
  use_room(agent, &weight_[(job * agents_ + agent) * resources_], 1);
  position_[job] = static_cast<uint32_t>(jobs_of_[agent].size());
  jobs_of_[agent].push_back(job);
  if (is_plain_) return;
  if (jobs_of_[agent].size() == 1) value_ += problem_.opening_of(agent);
  for (const uint32_t spread : spreads_of_[job]) {
    uint32_t& count = spread_counts_[spread][problem_.spreads[spread].domain_of_agent[agent]];
    ++count;
    if (count > problem_.spreads[spread].most) ++crowded_;
  }
}

double AssignmentState::overload(uint32_t agent, const double* weights, double sign) const {
  const double* const room = &room_[agent * resources_];
  const double* const penalty = &penalty_[agent * resources_];
  double difference = 0;
  for (size_t resource = 0; resource < resources_; ++resource) {
    difference +=
        penalty[resource] * (std::min(0.0, room[resource]) - std::min(0.0, room[resource] + sign * weights[resource]));
  }
  return difference;
}

double AssignmentState::placing_beside(uint32_t job, uint32_t agent) const {
  double difference = jobs_of_[agent].empty() ? problem_.opening_of(agent) : 0;
  for (const uint32_t name : spreads_of_[job]) {
    const Spread& spread = problem_.spreads[name];
    if (spread_counts_[name][spread.domain_of_agent[agent]] >= spread.most) difference += spread_penalty_;
  }
  return difference;
}

double AssignmentState::taking(uint32_t job) const {
  const uint32_t agent = assignment_[job];
  const size_t at = job * agents_ + agent;
  double difference = overload(agent, &weight_[at * resources_], 1) - cost_[at];
  if (is_plain_) return difference;
  if (jobs_of_[agent].size() == 1) difference -= problem_.opening_of(agent);
  for (const uint32_t name : spreads_of_[job]) {
    const Spread& spread = problem_.spreads[name];
    if (spread_counts_[name][spread.domain_of_agent[agent]] > spread.most) difference -= spread_penalty_;
  }
  return difference;
}

double AssignmentState::total() const {
  double total = value_ + spread_penalty_ * crowded_;
  for (size_t pair = 0; pair < room_.size(); ++pair) total -= penalty_[pair] * std::min(0.0, room_[pair]);
  return total;
}

void AssignmentState::adapt_penalties(double more, double less) {
  const bool within = is_feasible();
  for (size_t pair = 0; pair < room_.size(); ++pair) {
    const double factor = within ? less : room_[pair] < -kTolerance ? more : 1;
    penalty_[pair] = std::clamp(penalty_[pair] * factor, kPenaltyMin * unit_[pair], kPenaltyMax * unit_[pair]);
  }
  const double factor = within ? less : crowded_ > 0 ? more : 1;
  spread_penalty_ = std::clamp(spread_penalty_ * factor, kPenaltyMin * usual_cost_, kPenaltyMax * usual_cost_);
}

}  // namespace verge::planner
