// The 0/1 knapsack: the subproblem of an agent in the Lagrangian bound.
//
// Sorted by profit for weight, a greedy filling gives a value that can be had and Dantzig's fraction one that cannot be
// exceeded; items whose other choice would cost more than the difference are settled (Ingargiola and Korsh 1973), and
// dynamic programming over whole capacities decides about the few that remain. Weights that are not whole, or too
// large for a table, are scaled and rounded down, and the capacity with them: what fits before still fits, so that the
// value is never below the best one, which is what a bound needs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace verge::planner {

struct KnapsackItem {
  uint32_t name = 0;
  double profit = 0;  // above 0
  double weight = 0;  // not negative, at most the capacity
};

// Keeps its tables from one solution to the next.
class Knapsack {
 public:
  // Cells of the table along the capacity, at most.
  static constexpr uint32_t kCapacityMax = 16384;

  // At least the largest Σ profit with Σ weight <= capacity; just that when weights and capacity are whole numbers not
  // above kCapacityMax. Reorders the items.
  double solve(std::vector<KnapsackItem>& items, double capacity, bool is_exact = true);

  [[nodiscard]] const std::vector<uint32_t>& chosen() const { return chosen_; }
  // Of the last solution: the worth of one more unit of capacity (Dantzig's), and the value of the fractional filling.
  [[nodiscard]] double price() const { return price_; }
  [[nodiscard]] double fractional() const { return fractional_; }

 private:
  double decide(std::span<const KnapsackItem> core, double room, double scale);

  std::vector<uint32_t> chosen_;
  std::vector<KnapsackItem> core_;
  std::vector<double> best_;
  std::vector<uint8_t> taken_;
  double price_ = 0;
  double fractional_ = 0;
};

}  // namespace verge::planner
