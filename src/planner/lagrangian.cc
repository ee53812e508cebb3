#include "planner/lagrangian.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

constexpr int kIdleMax = 15;  // steps without a better bound before they are made shorter
constexpr int kCapacityRounds = 1000;
constexpr double kShorter = 0.7;
constexpr double kReachMin = 5e-4;  // of Polyak's step
constexpr double kMemory = 0.3;     // of the direction before

}  // namespace

Lagrangian::Lagrangian(const AssignmentProblem& problem)
    : problem_(problem),
      whole_costs_(problem.has_whole_costs()),
      prices_(problem.jobs, 0),
      direction_(problem.jobs, 0),
      capacity_prices_(problem.resources * problem.agents, 0),
      times_(problem.jobs, 0) {
  price_capacities();
  best_prices_ = prices_;
  best_capacity_prices_ = capacity_prices_;
}

// max over v >= 0 of Σ_j min_i (cost + v·weight) - Σ v·capacity, by subgradients; then each job's price is its minimum.
void Lagrangian::price_capacities() {
  const size_t pairs = problem_.resources * problem_.agents;
  std::vector<double> capacity_price(pairs, 0);
  std::vector<double> best_capacity_price = capacity_price;
  std::vector<double> excess(pairs, 0);
  std::vector<double> minimum(problem_.jobs, 0);
  std::vector<uint32_t> where(problem_.jobs, 0);
  std::vector<double> priced(problem_.jobs, 0);
  double best = -kForbidden;
  double reach = 1;
  int idle = 0;
  const double shared = 1.0 / static_cast<double>(std::max<size_t>(1, problem_.jobs));
  for (int round = 0; round < kCapacityRounds && reach > kReachMin; ++round) {
    std::ranges::fill(minimum, kForbidden);
    for (size_t agent = 0; agent < problem_.agents; ++agent) {
      const double* const cost = &problem_.cost[agent * problem_.jobs];
      const double opening = problem_.opening_of(agent) * shared;
      for (size_t job = 0; job < problem_.jobs; ++job) priced[job] = cost[job] + opening;
      for (size_t resource = 0; resource < problem_.resources; ++resource) {
        const double price = capacity_price[resource * problem_.agents + agent];
        const double* const weight = &problem_.weight[(resource * problem_.agents + agent) * problem_.jobs];
        for (size_t job = 0; job < problem_.jobs; ++job) priced[job] += price * weight[job];
      }
      for (size_t job = 0; job < problem_.jobs; ++job) {
        if (priced[job] >= minimum[job]) continue;
        minimum[job] = priced[job];
        where[job] = static_cast<uint32_t>(agent);
      }
    }
    double value = 0;
    for (size_t pair = 0; pair < pairs; ++pair) {
      excess[pair] = -problem_.capacity[pair];
      value -= capacity_price[pair] * problem_.capacity[pair];
    }
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (!std::isfinite(minimum[job])) continue;
      value += minimum[job];
      for (size_t resource = 0; resource < problem_.resources; ++resource) {
        excess[resource * problem_.agents + where[job]] += problem_.weight_of(resource, where[job], job);
      }
    }
    if (value > best) {
      best = value;
      best_capacity_price = capacity_price;
      prices_ = minimum;
      idle = 0;
    } else if (++idle >= kIdleMax) {
      idle = 0;
      reach *= kShorter;
      capacity_price = best_capacity_price;
      continue;
    }
    double length = 0;
    for (size_t pair = 0; pair < pairs; ++pair) {
      if (capacity_price[pair] == 0 && excess[pair] < 0) excess[pair] = 0;
      length += excess[pair] * excess[pair];
    }
    if (length < 1e-12) break;
    const double stride = reach * 0.05 * std::max(1.0, std::abs(value)) / length;
    for (size_t pair = 0; pair < pairs; ++pair) {
      capacity_price[pair] = std::max(0.0, capacity_price[pair] + stride * excess[pair]);
    }
  }
  for (double& price : prices_) price = std::isfinite(price) ? price : 0;
  capacity_prices_ = best_capacity_price;
}

double Lagrangian::bound() const {
  return whole_costs_ ? std::ceil(best_ - 1e-6) + 0.0 : best_;
}  // + 0.0: no negative zero

// The most that the agent takes off Σ u, and which jobs it takes for that.
double Lagrangian::agent_minimum(size_t agent, std::vector<int>& times) {
  double least = kForbidden;
  for (size_t resource = 0; resource < problem_.resources; ++resource) {
    const double capacity = problem_.capacity_of(resource, agent);
    items_.clear();
    for (size_t job = 0; job < problem_.jobs; ++job) {
      const double profit = prices_[job] - problem_.cost_of(agent, job);
      const double weight = problem_.weight_of(resource, agent, job);
      if (profit > 0 && weight <= capacity) items_.push_back({static_cast<uint32_t>(job), profit, weight});
    }
    const double profit = knapsack_.solve(items_, capacity);
    capacity_prices_[resource * problem_.agents + agent] = knapsack_.price();
    if (profit >= least) continue;
    least = profit;
    agent_choice_.assign(knapsack_.chosen().begin(), knapsack_.chosen().end());
  }
  const double minimum = problem_.opening_of(agent) - least;
  if (minimum >= 0) return 0;
  for (const uint32_t job : agent_choice_) ++times[job];
  return minimum;
}

double Lagrangian::evaluate(std::vector<int>& times) {
  std::ranges::fill(times, 0);
  double value = 0;
  for (const double price : prices_) value += price;
  for (size_t agent = 0; agent < problem_.agents; ++agent) value += agent_minimum(agent, times);
  return value;
}

bool Lagrangian::step(double target) {
  const double value = evaluate(times_);
  if (value > best_ + 1e-9 * std::abs(value)) {
    best_ = value;
    best_prices_ = prices_;
    best_capacity_prices_ = capacity_prices_;
    idle_ = 0;
  } else if (++idle_ >= kIdleMax) {
    idle_ = 0;
    reach_ *= kShorter;
    prices_ = best_prices_;
    std::ranges::fill(direction_, 0);
    return reach_ > kReachMin;
  }
  double length = 0;
  for (size_t job = 0; job < problem_.jobs; ++job) {
    direction_[job] = kMemory * direction_[job] + (1 - kMemory) * (1 - times_[job]);
    length += direction_[job] * direction_[job];
  }
  if (length < 1e-12) return false;
  const double distance =
      std::isfinite(target) ? std::max(target - value, 1e-6 * std::abs(target)) : std::max(1.0, 0.05 * std::abs(value));
  const double stride = reach_ * distance / length;
  for (size_t job = 0; job < problem_.jobs; ++job) prices_[job] += stride * direction_[job];
  return true;
}

std::vector<double> Lagrangian::bounds_when_assigned() const {
  // With u, and each agent's knapsack replaced by its fractional value at the capacity's price, the value of forcing a
  // job onto an agent is the sum plus what the job loses there.
  std::vector<double> bounds(problem_.agents * problem_.jobs, kForbidden);
  double sum = 0;
  for (const double price : best_prices_) sum += price;
  std::vector<double> gain(problem_.agents, 0);
  const auto profit_of = [&](size_t agent, size_t job) {
    double profit = best_prices_[job] - problem_.cost_of(agent, job);
    // One resource prices the capacity; with several, the first, which is a valid choice as any is.
    profit -= best_capacity_prices_[agent] * problem_.weight_of(0, agent, job);
    return profit;
  };
  for (size_t agent = 0; agent < problem_.agents; ++agent) {
    double filling = best_capacity_prices_[agent] * problem_.capacity_of(0, agent);
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (std::isfinite(problem_.cost_of(agent, job))) filling += std::max(0.0, profit_of(agent, job));
    }
    gain[agent] = filling - problem_.opening_of(agent);
    sum -= std::max(0.0, gain[agent]);
  }
  for (size_t agent = 0; agent < problem_.agents; ++agent) {
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (!std::isfinite(problem_.cost_of(agent, job))) continue;
      const double closed = std::max(0.0, -gain[agent]);  // the agent is open for it, worth it or not
      bounds[agent * problem_.jobs + job] = sum + closed + std::max(0.0, -profit_of(agent, job));
    }
  }
  return bounds;
}

}  // namespace verge::planner
