// A lower bound of an AssignmentProblem by Lagrangian relaxation of "each job once".
//
// For any prices u of the jobs, Σ u[j] + Σ_i min(0, opening[i] + min Σ_j (cost[i][j] - u[j]) x[i][j]), where each
// agent's minimum is a knapsack over its capacity, is not above the value of any assignment (Fisher 1981; Jörnsten and
// Näsberg 1986 for this problem). They start where the prices of the capacities put them, the dual of the linear
// relaxation: that has few variables and is found quickly. The prices are improved by subgradients with Polyak's steps
// towards the best known value, deflected (Camerini, Fratta and Maffioli 1975). With several resources an agent's
// knapsack is that over its tightest one.
//
// Of a spread that lets one job into a domain, an agent takes one job at most where they are alike, of one cost and one
// weight, as replicas are: one stands for all, so that its knapsack stays one. A job of several spreads counts in the
// first. What is left of spreads, that zones have several agents and that workloads are apart, has prices as well, a
// domain each; beyond kSpreadPricesMax of them it is left out, which can only lower the bound.
#pragma once

#include <vector>

#include "planner/assignment_problem.h"
#include "planner/knapsack.h"

namespace verge::planner {

class Lagrangian {
 public:
  static constexpr size_t kSpreadPricesMax = 200'000;

  explicit Lagrangian(const AssignmentProblem& problem);

  // One step of prices towards `target`, the value of the best assignment that is known. False when steps have become
  // too small to matter.
  bool step(double target);

  // The best bound so far; rounded up when all costs are whole numbers. Infinite where a group of jobs that must be
  // apart has too few domains.
  [[nodiscard]] double bound() const;
  // The prices of the bound.
  [[nodiscard]] const std::vector<double>& prices() const { return best_prices_; }
  // What each agent's capacity is worth at those prices: [resource * agents + agent].
  [[nodiscard]] const std::vector<double>& capacity_prices() const { return best_capacity_prices_; }

  // Lower bounds of the value when the job must go to the agent: [agent * jobs + job]. By the fractional knapsack.
  [[nodiscard]] std::vector<double> bounds_when_assigned() const;

 private:
  // A spread that has prices, and where they begin.
  struct PricedSpread {
    uint32_t spread = 0;
    size_t first = 0;
  };

  void read_spreads();
  [[nodiscard]] bool are_alike(const std::vector<uint32_t>& jobs) const;
  void price_capacities();
  double price_groups(std::vector<double>& minimum, std::vector<double>& excess);
  void price_zones();
  [[nodiscard]] double spread_prices_of(size_t agent, size_t job, const std::vector<double>& prices) const;
  [[nodiscard]] double spread_allowance(const std::vector<double>& prices) const;
  double turn_spread_prices();
  void level(const std::vector<uint32_t>& jobs);
  void add_item(uint32_t job, double profit, double weight);
  double agent_minimum(size_t agent, std::vector<int>& times);
  double evaluate(std::vector<int>& times);

  const AssignmentProblem& problem_;
  const bool whole_costs_;
  Knapsack knapsack_;
  std::vector<KnapsackItem> items_;
  std::vector<uint32_t> agent_choice_;
  std::vector<double> prices_;
  std::vector<double> direction_;
  std::vector<double> capacity_prices_;
  std::vector<int> times_;
  std::vector<std::vector<uint32_t>> groups_;     // jobs of which an agent takes one at most
  std::vector<uint32_t> group_spread_;            // the spread that a group comes from
  std::vector<uint32_t> group_of_job_;            // UINT32_MAX: none; empty: no job has one
  std::vector<std::vector<double>> group_costs_;  // of each group, a job's on each agent, with prices
  std::vector<uint32_t> item_of_group_;           // while an agent's items are gathered
  std::vector<PricedSpread> priced_spreads_;
  std::vector<std::vector<uint32_t>> spreads_of_job_;  // of those; empty: there are none
  std::vector<double> spread_prices_;                  // [first + domain]
  std::vector<double> spread_direction_;
  std::vector<double> spread_counts_;
  std::vector<double> best_spread_prices_;
  std::vector<double> best_prices_;
  std::vector<double> best_capacity_prices_;
  double by_capacities_ = -kForbidden;  // the bound that prices of capacities alone give
  double best_ = -kForbidden;
  double reach_ = 1;
  int idle_ = 0;
};

}  // namespace verge::planner
