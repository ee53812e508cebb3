// A lower bound of an AssignmentProblem by Lagrangian relaxation of "each job once".
//
// For any prices u of the jobs, Σ u[j] + Σ_i min(0, opening[i] + min Σ_j (cost[i][j] - u[j]) x[i][j]), where each
// agent's minimum is a knapsack over its capacity, is not above the value of any assignment (Fisher 1981; Jörnsten and
// Näsberg 1986 for this problem). They start where the prices of the capacities put them, the dual of the linear
// relaxation: that has few variables and is found quickly. The prices are improved by subgradients with Polyak's steps
// towards the best known value, deflected (Camerini, Fratta and Maffioli 1975). With several resources an agent's
// knapsack is that over its tightest one. Spreads are left out, which can only lower the bound.
#pragma once

#include <vector>

#include "planner/assignment_problem.h"
#include "planner/knapsack.h"

namespace verge::planner {

class Lagrangian {
 public:
  explicit Lagrangian(const AssignmentProblem& problem);

  // One step of prices towards `target`, the value of the best assignment that is known. False when steps have become
  // too small to matter.
  bool step(double target);

  // The best bound so far; rounded up when all costs are whole numbers.
  [[nodiscard]] double bound() const;
  // The prices of the bound.
  [[nodiscard]] const std::vector<double>& prices() const { return best_prices_; }
  // What each agent's capacity is worth at those prices: [resource * agents + agent].
  [[nodiscard]] const std::vector<double>& capacity_prices() const { return best_capacity_prices_; }

  // Lower bounds of the value when the job must go to the agent: [agent * jobs + job]. By the fractional knapsack.
  [[nodiscard]] std::vector<double> bounds_when_assigned() const;

 private:
  void price_capacities();
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
  std::vector<double> best_prices_;
  std::vector<double> best_capacity_prices_;
  double best_ = -kForbidden;
  double reach_ = 1;
  int idle_ = 0;
};

}  // namespace verge::planner
