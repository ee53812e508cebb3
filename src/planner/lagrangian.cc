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
  if (!problem.spreads.empty()) read_spreads();
  price_capacities();
  if (!priced_spreads_.empty()) price_zones();
  best_prices_ = prices_;
  best_capacity_prices_ = capacity_prices_;
  best_spread_prices_ = spread_prices_;
}

bool Lagrangian::are_alike(const std::vector<uint32_t>& jobs) const {
  const auto differ = [&](const double* row) {
    return std::ranges::any_of(jobs, [&](uint32_t job) { return row[job] != row[jobs.front()]; });
  };
  for (size_t row = 0; row < problem_.resources * problem_.agents; ++row) {
    if (differ(&problem_.weight[row * problem_.jobs])) return false;
  }
  for (size_t agent = 0; agent < problem_.agents; ++agent) {
    if (differ(&problem_.cost[agent * problem_.jobs])) return false;
  }
  return true;
}

void Lagrangian::read_spreads() {
  std::vector<uint32_t> group_of_job(problem_.jobs, UINT32_MAX);
  std::vector<std::vector<uint32_t>> spreads_of_job(problem_.jobs);
  for (uint32_t name = 0; name < problem_.spreads.size(); ++name) {
    const Spread& spread = problem_.spreads[name];
    if (spread.jobs.size() < 2) continue;
    const bool is_free =
        std::ranges::all_of(spread.jobs, [&](uint32_t job) { return group_of_job[job] == UINT32_MAX; });
    const bool is_group = spread.most == 1 && is_free && are_alike(spread.jobs);
    if (is_group) {
      for (const uint32_t job : spread.jobs) group_of_job[job] = static_cast<uint32_t>(groups_.size());
      groups_.push_back(spread.jobs);
      group_spread_.push_back(name);
    }
    std::vector<uint32_t> agents_in(spread.domains, 0);
    for (const uint32_t domain : spread.domain_of_agent) ++agents_in[domain];
    const bool has_zones = std::ranges::any_of(agents_in, [](uint32_t count) { return count > 1; });
    if ((is_group && !has_zones) || spread_prices_.size() + spread.domains > kSpreadPricesMax) continue;
    for (const uint32_t job : spread.jobs) spreads_of_job[job].push_back(static_cast<uint32_t>(priced_spreads_.size()));
    priced_spreads_.push_back({name, spread_prices_.size()});
    spread_prices_.resize(spread_prices_.size() + spread.domains, 0);
  }
  if (!groups_.empty()) {
    group_of_job_ = std::move(group_of_job);
    group_costs_.assign(groups_.size(), std::vector<double>(problem_.agents, kForbidden));
    item_of_group_.assign(groups_.size(), UINT32_MAX);
  }
  if (!priced_spreads_.empty()) spreads_of_job_ = std::move(spreads_of_job);
  spread_direction_.assign(spread_prices_.size(), 0);
  spread_counts_.assign(spread_prices_.size(), 0);
}

double Lagrangian::spread_prices_of(size_t agent, size_t job, const std::vector<double>& prices) const {
  if (spreads_of_job_.empty()) return 0;
  double sum = 0;
  for (const uint32_t name : spreads_of_job_[job]) {
    const PricedSpread& priced = priced_spreads_[name];
    sum += prices[priced.first + problem_.spreads[priced.spread].domain_of_agent[agent]];
  }
  return sum;
}

// Each group's jobs go to as many domains, those that are cheapest; a job's price is what the dearest of them costs.
double Lagrangian::price_groups(std::vector<double>& minimum, std::vector<double>& excess) {
  double value = 0;
  std::vector<std::pair<double, uint32_t>> cheapest;  // of each domain, and its agent
  for (size_t group = 0; group < groups_.size(); ++group) {
    const Spread& spread = problem_.spreads[group_spread_[group]];
    cheapest.assign(spread.domains, {kForbidden, 0});
    for (uint32_t agent = 0; agent < problem_.agents; ++agent) {
      auto& domain = cheapest[spread.domain_of_agent[agent]];
      domain = std::min(domain, {group_costs_[group][agent], agent});
    }
    const std::vector<uint32_t>& jobs = groups_[group];
    if (cheapest.size() < jobs.size()) return kForbidden;
    const auto last = cheapest.begin() + static_cast<std::ptrdiff_t>(jobs.size()) - 1;
    std::nth_element(cheapest.begin(), last, cheapest.end());
    if (!std::isfinite(last->first)) return kForbidden;
    for (size_t i = 0; i < jobs.size(); ++i) {
      const auto& [cost, agent] = cheapest[i];
      value += cost;
      minimum[jobs[i]] = last->first;
      for (size_t resource = 0; resource < problem_.resources; ++resource) {
        excess[resource * problem_.agents + agent] += problem_.weight_of(resource, agent, jobs[i]);
      }
    }
  }
  return value;
}

// Where a zone has several agents, all but the most profitable are made worthless to the group; group_costs_ are those
// of the last prices of capacities.
void Lagrangian::price_zones() {
  for (const PricedSpread& priced : priced_spreads_) {
    const auto group = std::ranges::find(group_spread_, priced.spread);
    if (group == group_spread_.end()) continue;
    const auto index = static_cast<size_t>(group - group_spread_.begin());
    const Spread& spread = problem_.spreads[priced.spread];
    const double price = prices_[groups_[index].front()];
    std::vector<double> best(spread.domains, 0);
    for (size_t agent = 0; agent < problem_.agents; ++agent) {
      const uint32_t domain = spread.domain_of_agent[agent];
      const double gain = std::max(0.0, price - group_costs_[index][agent]);
      double& second = spread_prices_[priced.first + domain];
      second = std::max(second, std::min(gain, best[domain]));
      best[domain] = std::max(best[domain], gain);
    }
  }
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
  const std::vector<uint32_t>& group_of_job = group_of_job_;
  std::vector<std::vector<double>> best_group_costs = group_costs_;
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
      for (size_t group = 0; group < groups_.size(); ++group) {
        group_costs_[group][agent] = priced[groups_[group].front()];
      }
    }
    double value = 0;
    for (size_t pair = 0; pair < pairs; ++pair) {
      excess[pair] = -problem_.capacity[pair];
      value -= capacity_price[pair] * problem_.capacity[pair];
    }
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (!std::isfinite(minimum[job]) || (!group_of_job.empty() && group_of_job[job] != UINT32_MAX)) continue;
      value += minimum[job];
      for (size_t resource = 0; resource < problem_.resources; ++resource) {
        excess[resource * problem_.agents + where[job]] += problem_.weight_of(resource, where[job], job);
      }
    }
    value += price_groups(minimum, excess);
    if (value > best) {
      best = value;
      best_capacity_price = capacity_price;
      best_group_costs = group_costs_;
      prices_ = minimum;
      idle = 0;
    } else if (++idle >= kIdleMax) {
      idle = 0;
      reach *= kShorter;
      capacity_price = best_capacity_price;
      continue;
    }
    if (std::isinf(value)) break;
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
  group_costs_ = std::move(best_group_costs);
  if (std::ranges::all_of(minimum, [](double least) { return std::isfinite(least); })) by_capacities_ = best;
}

double Lagrangian::bound() const {
  const double best = std::max(best_, by_capacities_);
  return whole_costs_ ? std::ceil(best - 1e-6) + 0.0 : best;
}  // + 0.0: no negative zero

// The most that the agent takes off Σ u, and which jobs it takes for that.
double Lagrangian::agent_minimum(size_t agent, std::vector<int>& times) {
  double least = kForbidden;
  for (size_t resource = 0; resource < problem_.resources; ++resource) {
    const double capacity = problem_.capacity_of(resource, agent);
    items_.clear();
    for (size_t job = 0; job < problem_.jobs; ++job) {
      const double profit = prices_[job] - problem_.cost_of(agent, job) - spread_prices_of(agent, job, spread_prices_);
      const double weight = problem_.weight_of(resource, agent, job);
      if (profit > 0 && weight <= capacity) add_item(static_cast<uint32_t>(job), profit, weight);
    }
    for (const KnapsackItem& item : items_) {
      if (!group_of_job_.empty() && group_of_job_[item.name] != UINT32_MAX) {
        item_of_group_[group_of_job_[item.name]] = UINT32_MAX;
      }
    }
    const double profit = knapsack_.solve(items_, capacity);
    capacity_prices_[resource * problem_.agents + agent] = knapsack_.price();
    if (profit >= least) continue;
    least = profit;
    agent_choice_.assign(knapsack_.chosen().begin(), knapsack_.chosen().end());
  }
  const double minimum = problem_.opening_of(agent) - least;
  if (minimum >= 0) return 0;
  for (const uint32_t job : agent_choice_) {
    ++times[job];
    if (spreads_of_job_.empty()) continue;
    for (const uint32_t name : spreads_of_job_[job]) {
      const PricedSpread& priced = priced_spreads_[name];
      ++spread_counts_[priced.first + problem_.spreads[priced.spread].domain_of_agent[agent]];
    }
  }
  return minimum;
}

// Of a group, the most profitable job alone.
void Lagrangian::add_item(uint32_t job, double profit, double weight) {
  const uint32_t group = group_of_job_.empty() ? UINT32_MAX : group_of_job_[job];
  if (group == UINT32_MAX) {
    items_.push_back({job, profit, weight});
  } else if (item_of_group_[group] == UINT32_MAX) {
    item_of_group_[group] = static_cast<uint32_t>(items_.size());
    items_.push_back({job, profit, weight});
  } else if (KnapsackItem& item = items_[item_of_group_[group]]; profit > item.profit) {
    item = {job, profit, weight};
  }
}

double Lagrangian::evaluate(std::vector<int>& times) {
  std::ranges::fill(times, 0);
  double value = 0;
  for (const double price : prices_) value += price;
  std::ranges::fill(spread_counts_, 0);
  for (size_t agent = 0; agent < problem_.agents; ++agent) value += agent_minimum(agent, times);
  return value - spread_allowance(spread_prices_);
}

double Lagrangian::spread_allowance(const std::vector<double>& prices) const {
  double sum = 0;
  for (const PricedSpread& priced : priced_spreads_) {
    const Spread& spread = problem_.spreads[priced.spread];
    for (size_t domain = 0; domain < spread.domains; ++domain) sum += spread.most * prices[priced.first + domain];
  }
  return sum;
}

// The jobs of a group are alike in all: what one has too much another has too little.
void Lagrangian::level(const std::vector<uint32_t>& jobs) {
  double sum = 0;
  for (const uint32_t job : jobs) sum += direction_[job];
  for (const uint32_t job : jobs) direction_[job] = sum / static_cast<double>(jobs.size());
}

// The part of the direction that prices of spreads have; the square of its length.
double Lagrangian::turn_spread_prices() {
  double length = 0;
  for (const PricedSpread& priced : priced_spreads_) {
    const Spread& spread = problem_.spreads[priced.spread];
    for (size_t i = priced.first; i < priced.first + spread.domains; ++i) {
      const double excess = spread_counts_[i] - spread.most;
      double& direction = spread_direction_[i];
      direction = kMemory * direction + (1 - kMemory) * excess;
      if (spread_prices_[i] == 0 && direction < 0) direction = 0;
      length += direction * direction;
    }
  }
  return length;
}

bool Lagrangian::step(double target) {
  const double value = evaluate(times_);
  if (value > best_ + 1e-9 * std::abs(value)) {
    best_ = value;
    best_prices_ = prices_;
    best_capacity_prices_ = capacity_prices_;
    best_spread_prices_ = spread_prices_;
    idle_ = 0;
  } else if (++idle_ >= kIdleMax) {
    idle_ = 0;
    reach_ *= kShorter;
    prices_ = best_prices_;
    spread_prices_ = best_spread_prices_;
    std::ranges::fill(direction_, 0);
    std::ranges::fill(spread_direction_, 0);
    return reach_ > kReachMin;
  }
  double length = 0;
  for (size_t job = 0; job < problem_.jobs; ++job) direction_[job] *= kMemory;
  for (size_t job = 0; job < problem_.jobs; ++job) direction_[job] += (1 - kMemory) * (1 - times_[job]);
  for (const std::vector<uint32_t>& jobs : groups_) level(jobs);
  for (size_t job = 0; job < problem_.jobs; ++job) {
    length += direction_[job] * direction_[job];
  }
  length += turn_spread_prices();
  if (length < 1e-12) return false;
  const double distance =
      std::isfinite(target) ? std::max(target - value, 1e-6 * std::abs(target)) : std::max(1.0, 0.05 * std::abs(value));
  const double stride = reach_ * distance / length;
  for (size_t job = 0; job < problem_.jobs; ++job) prices_[job] += stride * direction_[job];
  for (size_t i = 0; i < spread_prices_.size(); ++i) {
    spread_prices_[i] = std::max(0.0, spread_prices_[i] + stride * spread_direction_[i]);
  }
  return true;
}

std::vector<double> Lagrangian::bounds_when_assigned() const {
  // With u, and each agent's knapsack replaced by its fractional value at the capacity's price, the value of forcing a
  // job onto an agent is the sum plus what the job loses there.
  std::vector<double> bounds(problem_.agents * problem_.jobs, kForbidden);
  double sum = 0;
  for (const double price : best_prices_) sum += price;
  sum -= spread_allowance(best_spread_prices_);
  std::vector<double> gain(problem_.agents, 0);
  const auto profit_of = [&](size_t agent, size_t job) {
    double profit =
        best_prices_[job] - problem_.cost_of(agent, job) - spread_prices_of(agent, job, best_spread_prices_);
    // One resource prices the capacity; with several, the first, which is a valid choice as any is.
    profit -= best_capacity_prices_[agent] * problem_.weight_of(0, agent, job);
    return profit;
  };
  const auto group_of = [&](size_t job) { return group_of_job_.empty() ? UINT32_MAX : group_of_job_[job]; };
  std::vector<std::vector<double>> most(problem_.agents, std::vector<double>(groups_.size(), 0));  // of a group's jobs
  for (size_t agent = 0; agent < problem_.agents; ++agent) {
    double filling = best_capacity_prices_[agent] * problem_.capacity_of(0, agent);
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (!std::isfinite(problem_.cost_of(agent, job))) continue;
      const double profit = std::max(0.0, profit_of(agent, job));
      if (const uint32_t group = group_of(job); group != UINT32_MAX) {
        most[agent][group] = std::max(most[agent][group], profit);
      } else {
        filling += profit;
      }
    }
    for (const double profit : most[agent]) filling += profit;
    gain[agent] = filling - problem_.opening_of(agent);
    sum -= std::max(0.0, gain[agent]);
  }
  for (size_t agent = 0; agent < problem_.agents; ++agent) {
    for (size_t job = 0; job < problem_.jobs; ++job) {
      if (!std::isfinite(problem_.cost_of(agent, job))) continue;
      const double closed = std::max(0.0, -gain[agent]);  // the agent is open for it, worth it or not
      const uint32_t group = group_of(job);
      const double without = group == UINT32_MAX ? 0 : most[agent][group];  // what the agent had from the group
      const double profit = profit_of(agent, job);
      bounds[agent * problem_.jobs + job] =
          sum + closed + (group == UINT32_MAX ? std::max(0.0, -profit) : without - profit);
    }
  }
  return bounds;
}

}  // namespace verge::planner
