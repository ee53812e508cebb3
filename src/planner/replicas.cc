#include "planner/replicas.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/format.h>

namespace verge::planner {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kBoundRounds = 400;

class Search {
 public:
  explicit Search(const ReplicaProblem& problem) : problem_(problem) {}

  // The best set found whose first replica is `first`. Where money is short, the node that helps most may be the one
  // that leaves none for two others: the set is also grown by what a dollar helps (Khuller, Moss and Naor 1999), and
  // the better of both is kept.
  std::vector<uint32_t> grow(uint32_t first) const {
    std::vector<uint32_t> by_gain = grow(first, Choice::kByGain);
    std::vector<uint32_t> by_dollar = grow(first, Choice::kByGainADollar);
    return cost_of(by_dollar) < cost_of(by_gain) ? by_dollar : by_gain;
  }

  [[nodiscard]] double cost_of(const std::vector<uint32_t>& chosen) const {
    double sum = 0;
    for (size_t user = 0; user < problem_.users; ++user) {
      double least = kInfinity;
      for (const uint32_t node : chosen) least = std::min(least, problem_.latency_ms[node * problem_.users + user]);
      sum += problem_.weight[user] * least;
    }
    return sum;
  }

 private:
  enum class Choice : uint8_t { kByGain, kByGainADollar };

  std::vector<uint32_t> grow(uint32_t first, Choice choice) const {
    std::vector<uint32_t> chosen = {first};
    double cost = cost_of(chosen);
    do {
      fill(chosen, cost, choice);
    } while (exchange(chosen, cost));
    return chosen;
  }

  // Adds what helps until nothing does, or nothing may be added.
  void fill(std::vector<uint32_t>& chosen, double& cost, Choice choice) const {
    while (chosen.size() < problem_.replicas_max) {
      std::optional<uint32_t> best;
      double best_worth = 0;
      double least = cost;
      for (uint32_t node = 0; node < problem_.nodes; ++node) {
        if (!may_join(chosen, node, chosen.size())) continue;
        chosen.push_back(node);
        const double with = cost_of(chosen);
        chosen.pop_back();
        if (with >= cost * (1 - 1e-9)) continue;
        const double dollars = choice == Choice::kByGain ? 1 : std::max(problem_.storage_cost[node], 1e-9);
        if (const double worth = (cost - with) / dollars; worth > best_worth) {
          best_worth = worth;
          best = node;
          least = with;
        }
      }
      if (!best) return;
      chosen.push_back(*best);
      cost = least;
    }
  }

  // Whether `node` may stand at `position`: not there yet, near enough to the first, within the budget.
  [[nodiscard]] bool may_join(const std::vector<uint32_t>& chosen, uint32_t node, size_t position) const {
    if (std::ranges::find(chosen, node) != chosen.end()) return false;
    if (position > 0 && problem_.between_ms[chosen[0] * problem_.nodes + node] > problem_.lag_max_ms) return false;
    double cost = problem_.storage_cost[node];
    for (size_t i = 0; i < chosen.size(); ++i) cost += i == position ? 0 : problem_.storage_cost[chosen[i]];
    return cost <= problem_.storage_cost_max;
  }

  // Replaces one by another as long as that helps. Whether it did.
  bool exchange(std::vector<uint32_t>& chosen, double& cost) const {
    const double cost_before = cost;
    for (bool is_better = true; is_better;) {
      is_better = false;
      for (size_t position = 1; position < chosen.size(); ++position) {
        for (uint32_t node = 0; node < problem_.nodes; ++node) {
          if (!may_join(chosen, node, position)) continue;
          const uint32_t before = std::exchange(chosen[position], node);
          if (const double with = cost_of(chosen); with < cost * (1 - 1e-9)) {
            cost = with;
            is_better = true;
          } else {
            chosen[position] = before;
          }
        }
      }
    }
    return cost < cost_before;
  }

  const ReplicaProblem& problem_;
};

// Of the sum of weighted latencies, with at most `replicas_max` replicas; the other limits are left out.
double lower_bound(const ReplicaProblem& problem, double target) {
  const size_t n = problem.users;
  std::vector<double> price(n);
  for (size_t user = 0; user < n; ++user) {
    double least = kInfinity;
    for (size_t node = 0; node < problem.nodes; ++node) least = std::min(least, problem.latency_ms[node * n + user]);
    price[user] = problem.weight[user] * least * 1.1;
  }
  double best = 0;
  double reach = 1;
  std::vector<double> gain(problem.nodes);
  std::vector<uint32_t> order(problem.nodes);
  std::vector<double> slope(n);
  for (int round = 0; round < kBoundRounds; ++round) {
    for (size_t node = 0; node < problem.nodes; ++node) {
      gain[node] = 0;
      for (size_t user = 0; user < n; ++user) {
        gain[node] += std::min(0.0, problem.weight[user] * problem.latency_ms[node * n + user] - price[user]);
      }
    }
    std::iota(order.begin(), order.end(), 0U);
    const size_t k = std::min(problem.replicas_max, problem.nodes);
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                      [&](uint32_t a, uint32_t b) { return gain[a] < gain[b]; });
    double value = std::accumulate(price.begin(), price.end(), 0.0);
    std::ranges::fill(slope, 1);
    for (size_t i = 0; i < k; ++i) {
      value += gain[order[i]];
      for (size_t user = 0; user < n; ++user) {
        if (problem.weight[user] * problem.latency_ms[order[i] * n + user] < price[user]) slope[user] -= 1;
      }
    }
    if (value > best) {
      best = value;
    } else {
      reach *= 0.97;
    }
    double length = 0;
    for (const double part : slope) length += part * part;
    if (length == 0 || target <= best) break;
    const double stride = reach * (target - value) / length;
    for (size_t user = 0; user < n; ++user) price[user] = std::max(0.0, price[user] + stride * slope[user]);
  }
  return best;
}

double coverage_of(const ReplicaProblem& problem, const std::vector<uint32_t>& chosen) {
  double covered = 0;
  double all = 0;
  for (size_t user = 0; user < problem.users; ++user) {
    all += problem.weight[user];
    const bool is_near = std::ranges::any_of(
        chosen, [&](uint32_t node) { return problem.latency_ms[node * problem.users + user] <= problem.coverage_ms; });
    covered += is_near ? problem.weight[user] : 0;
  }
  return all > 0 ? covered / all : 0;
}

}  // namespace

Result<ReplicaPlan> place_replicas(const ReplicaProblem& problem) {
  Search search(problem);
  std::vector<std::pair<double, uint32_t>> firsts;
  for (uint32_t node = 0; node < problem.nodes; ++node) {
    if (problem.storage_cost[node] <= problem.storage_cost_max) firsts.emplace_back(search.cost_of({node}), node);
  }
  if (firsts.empty() || problem.replicas_max == 0) {
    return fail(
        "plan.infeasible",
        fmt::format(
            "no replica is possible: a replica on the cheapest node is beyond {} dollars a month, or none is allowed",
            problem.storage_cost_max),
        "raise --storage-cost or --replicas-max");
  }
  std::ranges::sort(firsts);
  ReplicaPlan plan;
  const double weights = std::max(1e-12, std::accumulate(problem.weight.begin(), problem.weight.end(), 0.0));
  plan.single_latency_ms = firsts.front().first / weights;
  plan.single_coverage = coverage_of(problem, {firsts.front().second});
  // The first replica decides who is near enough: the best few as single ones are tried.
  double least = kInfinity;
  constexpr size_t kFirstsTried = 8;
  for (size_t i = 0; i < std::min(kFirstsTried, firsts.size()); ++i) {
    std::vector<uint32_t> chosen = search.grow(firsts[i].second);
    const double cost = search.cost_of(chosen);
    if (cost >= least) continue;
    least = cost;
    plan.replicas = std::move(chosen);
  }
  plan.mean_latency_ms = least / weights;
  plan.bound_ms = std::min(plan.mean_latency_ms, lower_bound(problem, least) / weights);
  plan.coverage = coverage_of(problem, plan.replicas);
  for (const uint32_t node : plan.replicas) {
    plan.storage_cost += problem.storage_cost[node];
    plan.lag_ms = std::max(plan.lag_ms, problem.between_ms[plan.replicas[0] * problem.nodes + node]);
  }
  for (size_t user = 0; user < problem.users; ++user) {
    plan.serves.push_back(*std::ranges::min_element(
        plan.replicas, {}, [&](uint32_t node) { return problem.latency_ms[node * problem.users + user]; }));
  }
  return plan;
}

}  // namespace verge::planner
