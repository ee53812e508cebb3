#include "series/half_space_trees.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "series/chance.h"

namespace verge::series {
namespace {

double unit_chance(uint64_t counter) { return static_cast<double>(scattered(counter) >> 11) * 0x1.0p-53; }

// Which way a point goes through a tree: cuts are functions of tree and node, so that none has to be kept.
template <size_t Lags>
class Descent {
 public:
  Descent(uint64_t tree, const std::array<double, Lags>& point) : tree_(tree), point_(point) {
    for (size_t lag = 0; lag < Lags; ++lag) {
      const double center = unit_chance(tree << 32 | lag);
      const double half = 2 * std::max(center, 1 - center);
      low_[lag] = center - half;
      high_[lag] = center + half;
    }
  }

  size_t below(size_t node) {
    const size_t lag = scattered(tree_ << 32 | 1U << 20 | node) % Lags;
    const double middle = (low_[lag] + high_[lag]) / 2;
    const bool is_upper = point_[lag] >= middle;
    (is_upper ? low_ : high_)[lag] = middle;
    return 2 * node + (is_upper ? 1 : 0);
  }

 private:
  uint64_t tree_;
  const std::array<double, Lags>& point_;
  std::array<double, Lags> low_{};
  std::array<double, Lags> high_{};
};

}  // namespace

double HalfSpaceTrees::add(double value) {
  if (!std::isfinite(value)) return 0;
  lags_.add(value);
  if (!has_space_) {
    widen(value);
    if (++in_window_ < kWindow) return 0;
    has_space_ = true;
    in_window_ = 0;
    return 0;
  }
  Point point{};
  const double low = lowest_.back();
  const double width = highest_.back() > low ? highest_.back() - low : 1;
  for (size_t lag = 0; lag < kLags; ++lag) point[lag] = (lags_.back(lag) - low) / width;
  const double score = has_reference_ ? sparsity(point) : 0;
  count(point);
  if (++in_window_ == kWindow) {
    reference_.swap(latest_);
    std::ranges::fill(latest_, 0);
    in_window_ = 0;
    has_reference_ = true;
  }
  return score;
}

void HalfSpaceTrees::widen(double value) {
  double low = value;
  for (double& each : lowest_) {
    if (low < each) std::swap(low, each);
  }
  double high = value;
  for (double& each : highest_) {
    if (high > each) std::swap(high, each);
  }
}

double HalfSpaceTrees::sparsity(const Point& point) const {
  double sum = 0;
  for (uint64_t tree = 0; tree < kTrees; ++tree) {
    Descent<kLags> descent(tree, point);
    size_t node = 1;
    size_t depth = 0;
    const uint32_t* masses = reference_.data() + tree * kNodes;
    while (depth < kDepth && masses[node] > kSizeMin) {
      node = descent.below(node);
      ++depth;
    }
    sum += 1 / (1 + std::ldexp(masses[node], static_cast<int>(depth)) / kWindow);
  }
  return sum / kTrees;
}

void HalfSpaceTrees::count(const Point& point) {
  for (uint64_t tree = 0; tree < kTrees; ++tree) {
    Descent<kLags> descent(tree, point);
    size_t node = 1;
    for (size_t depth = 0;; ++depth) {
      ++latest_[tree * kNodes + node];
      if (depth == kDepth) break;
      node = descent.below(node);
    }
  }
}

}  // namespace verge::series
