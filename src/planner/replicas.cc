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
constexpr int kRoundsOfFirst = 50;   // for one node as the first replica, at a time
constexpr int kTurnsMax = 10;        // that it gets
constexpr double kBoundWork = 4e8;   // pairs of nodes and users looked at, for all firsts together
constexpr size_t kFirstsTried = 8;   // at least
constexpr double kFirstsWork = 3e8;  // pairs looked at, about, for those beyond

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

// A lower bound of the sum of weighted latencies. Somebody is the first replica: for each node that could be, the bound
// is over the nodes that are near enough to it and that the budget allows beside it, as many as it allows; the least of
// them holds for all. Multipliers are learnt for all nodes first, then for the firsts whose bound is least.
class Bound {
 public:
  explicit Bound(const ReplicaProblem& problem) : problem_(problem), gain_(problem.nodes) {
    for (uint32_t first = 0; first < problem.nodes; ++first) {
      if (problem.storage_cost[first] <= problem.storage_cost_max) firsts_.push_back(choice_with(first));
    }
  }

  double run(double target) {
    Choice everyone{.most = std::min(problem_.replicas_max, problem_.nodes)};
    for (uint32_t node = 0; node < problem_.nodes; ++node) everyone.nodes.push_back(node);
    std::vector<double> price = usual_prices();
    improve(everyone, target, kBoundRounds, price);
    gather_gains(price);
    for (Choice& first : firsts_) first.bound = std::max(everyone.bound, value_of(first, price, nullptr));
    const double round_costs = static_cast<double>(problem_.nodes * problem_.users);
    for (double work = 0; work < kBoundWork; work += kRoundsOfFirst * round_costs) {
      Choice& least = *std::ranges::min_element(firsts_, {}, &Choice::bound);
      if (least.is_settled || least.bound >= target) return least.bound;
      if (least.price.empty()) least.price = price;
      improve(least, target, kRoundsOfFirst, least.price);
      least.is_settled = ++least.turns == kTurnsMax;
    }
    return std::ranges::min_element(firsts_, {}, &Choice::bound)->bound;
  }

 private:
  struct Choice {
    std::optional<uint32_t> first;  // is among them in any case
    std::vector<uint32_t> nodes;    // the others that may be
    size_t most = 0;                // replicas, the first among them
    double bound = 0;
    double reach = 1;
    int turns = 0;
    bool is_settled = false;
    std::vector<double> price;
  };

  Choice choice_with(uint32_t first) const {
    Choice choice{.first = first};
    const double left = problem_.storage_cost_max - problem_.storage_cost[first];
    std::vector<double> costs;
    for (uint32_t node = 0; node < problem_.nodes; ++node) {
      if (node == first || problem_.between_ms[first * problem_.nodes + node] > problem_.lag_max_ms) continue;
      if (problem_.storage_cost[node] > left) continue;
      choice.nodes.push_back(node);
      costs.push_back(problem_.storage_cost[node]);
    }
    std::ranges::sort(costs);
    double spent = 0;
    choice.most = 1;
    for (const double cost : costs) {
      spent += cost;
      if (spent > left * (1 + 1e-12) || choice.most == problem_.replicas_max) break;
      ++choice.most;
    }
    return choice;
  }

  [[nodiscard]] std::vector<double> usual_prices() const {
    std::vector<double> price(problem_.users);
    for (size_t user = 0; user < problem_.users; ++user) {
      double least = kInfinity;
      for (size_t node = 0; node < problem_.nodes; ++node) {
        least = std::min(least, problem_.latency_ms[node * problem_.users + user]);
      }
      price[user] = problem_.weight[user] * least * 1.1;
    }
    return price;
  }

  // What each node takes off the sum of prices.
  void gather_gains(const std::vector<double>& price) {
    for (size_t node = 0; node < problem_.nodes; ++node) {
      gain_[node] = 0;
      const double* const latency = &problem_.latency_ms[node * problem_.users];
      for (size_t user = 0; user < problem_.users; ++user) {
        gain_[node] += std::min(0.0, problem_.weight[user] * latency[user] - price[user]);
      }
    }
  }

  // With the gains that were gathered; and which nodes it is reached with.
  double value_of(const Choice& choice, const std::vector<double>& price, std::vector<uint32_t>* chosen) {
    order_ = choice.nodes;
    const size_t others = std::min(choice.most - (choice.first ? 1 : 0), order_.size());
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(others), order_.end(),
                      [&](uint32_t a, uint32_t b) { return gain_[a] < gain_[b]; });
    order_.resize(others);
    if (choice.first) order_.push_back(*choice.first);
    double value = std::accumulate(price.begin(), price.end(), 0.0);
    for (const uint32_t node : order_) value += gain_[node];
    if (chosen != nullptr) *chosen = order_;
    return value;
  }

  void improve(Choice& choice, double target, int rounds, std::vector<double>& price) {
    std::vector<double> slope(problem_.users);
    std::vector<double> best_price = price;
    std::vector<uint32_t> chosen;
    for (int round = 0; round < rounds; ++round) {
      gather_gains(price);
      const double value = value_of(choice, price, &chosen);
      std::ranges::fill(slope, 1);
      for (const uint32_t node : chosen) {
        const double* const latency = &problem_.latency_ms[node * problem_.users];
        for (size_t user = 0; user < problem_.users; ++user) {
          if (problem_.weight[user] * latency[user] < price[user]) slope[user] -= 1;
        }
      }
      if (value > choice.bound) {
        choice.bound = value;
        best_price = price;
      } else {
        choice.reach *= 0.97;
      }
      double length = 0;
      for (const double part : slope) length += part * part;
      if (length == 0 || target <= choice.bound) break;
      const double stride = choice.reach * (target - value) / length;
      for (size_t user = 0; user < problem_.users; ++user) {
        price[user] = std::max(0.0, price[user] + stride * slope[user]);
      }
    }
    price = best_price;
  }

  const ReplicaProblem& problem_;
  std::vector<double> gain_;
  std::vector<uint32_t> order_;
  std::vector<Choice> firsts_;
};

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
  // The first replica decides who is near enough: the best as single ones are tried, all where they are few.
  double least = kInfinity;
  const double work = static_cast<double>(problem.nodes * problem.users) *
                      static_cast<double>(std::min(problem.replicas_max, problem.nodes)) *
                      static_cast<double>(std::min(problem.replicas_max, problem.nodes));
  const size_t tried = std::max(kFirstsTried, static_cast<size_t>(kFirstsWork / std::max(1.0, 4 * work)));
  for (size_t i = 0; i < std::min(tried, firsts.size()); ++i) {
    std::vector<uint32_t> chosen = search.grow(firsts[i].second);
    const double cost = search.cost_of(chosen);
    if (cost >= least) continue;
    least = cost;
    plan.replicas = std::move(chosen);
  }
  plan.mean_latency_ms = least / weights;
  plan.bound_ms = std::min(plan.mean_latency_ms, Bound(problem).run(least) / weights);
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
