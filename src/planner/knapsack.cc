#include "planner/knapsack.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

bool is_whole(double number) { return number == std::floor(number); }

// What to multiply weights with before they are rounded down.
double scale_for(std::span<const KnapsackItem> items, double capacity) {
  const bool whole =
      is_whole(capacity) && std::ranges::all_of(items, [](const KnapsackItem& item) { return is_whole(item.weight); });
  if (whole && capacity <= Knapsack::kCapacityMax) return 1;
  return capacity > 0 ? Knapsack::kCapacityMax / capacity : 1;
}

}  // namespace

double Knapsack::solve(std::vector<KnapsackItem>& items, double capacity, bool is_exact) {
  chosen_.clear();
  price_ = 0;
  std::ranges::sort(items, [](const KnapsackItem& a, const KnapsackItem& b) {
    const double left = a.profit * b.weight;
    const double right = b.profit * a.weight;
    return left != right ? left > right : a.name < b.name;
  });
  double room = capacity;
  double fractional = 0;
  size_t split = 0;
  for (; split < items.size() && items[split].weight <= room; ++split) {
    room -= items[split].weight;
    fractional += items[split].profit;
  }
  fractional_ = fractional;
  if (split == items.size()) {
    for (const KnapsackItem& item : items) chosen_.push_back(item.name);
    return fractional;
  }
  price_ = items[split].profit / items[split].weight;
  fractional_ = fractional + room * price_;
  double greedy = fractional;
  double left = room;
  for (size_t i = split; i < items.size(); ++i) {
    if (items[i].weight > left) continue;
    left -= items[i].weight;
    greedy += items[i].profit;
  }
  const double slack = fractional_ - greedy;
  core_.clear();
  double settled = 0;
  double core_room = capacity;
  for (size_t i = 0; i < items.size(); ++i) {
    const KnapsackItem& item = items[i];
    const double loss = std::abs(item.profit - price_ * item.weight);
    if (is_exact && loss <= slack + 1e-9) {
      core_.push_back(item);
    } else if (i < split) {
      chosen_.push_back(item.name);
      settled += item.profit;
      core_room -= item.weight;
    }
  }
  if (!is_exact) return fractional_;
  return std::min(fractional_, settled + decide(core_, core_room, scale_for(items, capacity)));
}

double Knapsack::decide(std::span<const KnapsackItem> core, double room, double scale) {
  const auto cells = static_cast<size_t>(std::max(0.0, std::floor(room * scale + 1e-9))) + 1;
  best_.assign(cells, 0);
  if (taken_.size() < cells * core.size()) taken_.resize(cells * core.size());
  for (size_t i = 0; i < core.size(); ++i) {
    uint8_t* const taken = taken_.data() + i * cells;
    const auto weight = static_cast<size_t>(core[i].weight * scale);
    std::fill_n(taken, std::min(weight, cells), uint8_t{0});
    for (size_t cell = cells; cell-- > weight;) {
      const double with = best_[cell - weight] + core[i].profit;
      taken[cell] = with > best_[cell] ? 1 : 0;
      best_[cell] = std::max(best_[cell], with);
    }
  }
  size_t cell = cells - 1;
  for (size_t i = core.size(); i-- > 0;) {
    if (taken_[i * cells + cell] == 0) continue;
    chosen_.push_back(core[i].name);
    cell -= static_cast<size_t>(core[i].weight * scale);
  }
  return best_[cells - 1];
}

}  // namespace verge::planner
