// Selection for many users at once: for each cell of a grid over the Earth, its primary and fallbacks, built once and
// read in nanoseconds.
//
// A tree over the nodes' places on the unit sphere (k-d, Bentley 1975) knows of each branch its box and its least load
// and cost; a search goes on only where the nearest point of the box, with those, could still be among the best. The
// propagation is that of the distance; measurements between single pairs are for `select_nodes`.
//
// Read by any number of threads once built.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/geography.h"

namespace verge::planner {

struct RoutedNode {
  Coordinates at;
  double load = 0;
  double cost = 0;
  uint32_t zone = 0;
};

inline constexpr uint32_t kNoNode = UINT32_MAX;

struct Route {
  uint32_t primary = kNoNode;
  uint32_t fallback_1 = kNoNode;
  uint32_t fallback_2 = kNoNode;
};

class RoutingTable {
 public:
  // About `cells` cells of equal degrees. `plain`: by score alone.
  static RoutingTable build(std::span<const RoutedNode> nodes, size_t cells, unsigned threads, bool plain = false);

  [[nodiscard]] const Route& lookup(const Coordinates& user) const {
    const auto row = static_cast<size_t>((user.latitude + 90) * rows_per_degree_);
    const auto column = static_cast<size_t>((user.longitude + 180) * columns_per_degree_);
    return routes_[std::min(row, rows_ - 1) * columns_ + std::min(column, columns_ - 1)];
  }

  [[nodiscard]] size_t cells() const { return routes_.size(); }
  [[nodiscard]] Coordinates middle_of(size_t cell) const;
  [[nodiscard]] const Route& route_of(size_t cell) const { return routes_[cell]; }

 private:
  size_t rows_ = 1;
  size_t columns_ = 1;
  double rows_per_degree_ = 1;
  double columns_per_degree_ = 1;
  std::vector<Route> routes_;
};

// One-way propagation over a distance, as the table takes it.
double routed_propagation_ms(double distance_km);

}  // namespace verge::planner
