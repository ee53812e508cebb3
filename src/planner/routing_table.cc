#include "planner/routing_table.h"

#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>
#include <thread>

#include "planner/calibration.h"
#include "planner/selection.h"

namespace verge::planner {

namespace {

using Vector = std::array<double, 3>;

constexpr uint32_t kLeaf = 8;  // nodes
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Vector on_sphere(const Coordinates& point) {
  const double latitude = point.latitude * std::numbers::pi / 180;
  const double longitude = point.longitude * std::numbers::pi / 180;
  return {std::cos(latitude) * std::cos(longitude), std::cos(latitude) * std::sin(longitude), std::sin(latitude)};
}

double arc_km(double chord) { return 2 * kEarthRadiusKm * std::asin(std::min(1.0, chord / 2)); }

struct Ranked {
  double score = kInfinity;
  uint32_t node = kNoNode;
};

// The best three, and the best outside the zone of the best: a fourth that is kept of each of two zones is enough, as
// the primary is in one of them.
class Best {
 public:
  // Scores beyond this can be of no use any more.
  [[nodiscard]] double limit(bool plain) const {
    return plain ? first_[2].score : std::max(first_[2].score, other_zone_.score);
  }
  void offer(double score, uint32_t node, uint32_t zone) {
    if (score < first_[0].score) {
      // The best of another zone than the new primary's: the old primary, unless it shares the zone.
      if (first_[0].node != kNoNode && zone_ != zone) other_zone_ = first_[0];
      zone_ = zone;
      first_[2] = first_[1];
      first_[1] = first_[0];
      first_[0] = {score, node};
      return;
    }
    if (score < first_[1].score) {
      first_[2] = first_[1];
      first_[1] = {score, node};
    } else if (score < first_[2].score) {
      first_[2] = {score, node};
    }
    if (zone != zone_ && score < other_zone_.score) other_zone_ = {score, node};
  }
  [[nodiscard]] Route route(bool plain) const {
    Route route{first_[0].node, first_[1].node, first_[2].node};
    const bool shares = first_[1].node != other_zone_.node;
    if (!plain && shares && other_zone_.node != kNoNode && first_[2].node != kNoNode)
      route.fallback_2 = other_zone_.node;
    return route;
  }

 private:
  std::array<Ranked, 3> first_;
  Ranked other_zone_;
  uint32_t zone_ = kNoNode;
};

class Tree {
 public:
  explicit Tree(std::span<const RoutedNode> nodes) {
    for (uint32_t i = 0; i < nodes.size(); ++i) {
      const double base = score_candidate(i, 0, nodes[i].load, nodes[i].cost).score;
      if (std::isfinite(base)) points_.push_back({on_sphere(nodes[i].at), base, i, nodes[i].zone});
    }
    if (!points_.empty()) build(0, static_cast<uint32_t>(points_.size()));
  }

  [[nodiscard]] Route find(const Vector& from, bool plain) const {
    Best best;
    if (!branches_.empty()) visit(0, from, plain, best);
    return best.route(plain);
  }

 private:
  struct Point {
    Vector at;
    double base;
    uint32_t node;
    uint32_t zone;
  };
  struct Branch {
    Vector low;
    Vector high;
    double base;
    uint32_t begin;
    uint32_t end;
    uint32_t right;  // the left one follows
  };

  uint32_t build(uint32_t begin, uint32_t end) {
    const auto name = static_cast<uint32_t>(branches_.size());
    Branch branch{
        .low = points_[begin].at, .high = points_[begin].at, .base = kInfinity, .begin = begin, .end = end, .right = 0};
    for (uint32_t i = begin; i < end; ++i) {
      for (size_t axis = 0; axis < 3; ++axis) {
        branch.low[axis] = std::min(branch.low[axis], points_[i].at[axis]);
        branch.high[axis] = std::max(branch.high[axis], points_[i].at[axis]);
      }
      branch.base = std::min(branch.base, points_[i].base);
    }
    branches_.push_back(branch);
    if (end - begin <= kLeaf) return name;
    size_t widest = 0;
    for (size_t axis = 1; axis < 3; ++axis) {
      if (branch.high[axis] - branch.low[axis] > branch.high[widest] - branch.low[widest]) widest = axis;
    }
    const uint32_t middle = (begin + end) / 2;
    std::nth_element(points_.begin() + begin, points_.begin() + middle, points_.begin() + end,
                     [widest](const Point& a, const Point& b) { return a.at[widest] < b.at[widest]; });
    build(begin, middle);
    const uint32_t right = build(middle, end);
    branches_[name].right = right;
    return name;
  }

  static double least_score(const Branch& branch, const Vector& from) {
    double square = 0;
    for (size_t axis = 0; axis < 3; ++axis) {
      const double off = std::max({branch.low[axis] - from[axis], from[axis] - branch.high[axis], 0.0});
      square += off * off;
    }
    return branch.base + kLatencyShare * routed_propagation_ms(arc_km(std::sqrt(square)));
  }

  void visit(uint32_t name, const Vector& from, bool plain, Best& best) const {
    const Branch& branch = branches_[name];
    if (branch.right == 0) {
      for (uint32_t i = branch.begin; i < branch.end; ++i) {
        const Point& point = points_[i];
        const double x = point.at[0] - from[0];
        const double y = point.at[1] - from[1];
        const double z = point.at[2] - from[2];
        const double distance = arc_km(std::sqrt(x * x + y * y + z * z));
        best.offer(point.base + kLatencyShare * routed_propagation_ms(distance), point.node, point.zone);
      }
      return;
    }
    const double left = least_score(branches_[name + 1], from);
    const double right = least_score(branches_[branch.right], from);
    const bool left_first = left <= right;
    if (std::min(left, right) < best.limit(plain)) visit(left_first ? name + 1 : branch.right, from, plain, best);
    if (std::max(left, right) < best.limit(plain)) visit(left_first ? branch.right : name + 1, from, plain, best);
  }

  std::vector<Point> points_;
  std::vector<Branch> branches_;
};

}  // namespace

double routed_propagation_ms(double distance_km) { return uncalibrated_round_trip(distance_km).median_ms / 2; }

Coordinates RoutingTable::middle_of(size_t cell) const {
  const size_t row = cell / columns_;
  const size_t column = cell % columns_;
  return {(static_cast<double>(row) + 0.5) / rows_per_degree_ - 90,
          (static_cast<double>(column) + 0.5) / columns_per_degree_ - 180};
}

RoutingTable RoutingTable::build(std::span<const RoutedNode> nodes, size_t cells, unsigned threads, bool plain) {
  RoutingTable table;
  table.rows_ = std::max<size_t>(1, static_cast<size_t>(std::sqrt(static_cast<double>(cells) / 2)));
  table.columns_ = std::max<size_t>(1, (cells + table.rows_ - 1) / table.rows_);
  table.rows_per_degree_ = static_cast<double>(table.rows_) / 180;
  table.columns_per_degree_ = static_cast<double>(table.columns_) / 360;
  table.routes_.resize(table.rows_ * table.columns_);
  const Tree tree(nodes);
  std::atomic<size_t> next_row = 0;
  const auto work = [&] {
    for (size_t row = next_row++; row < table.rows_; row = next_row++) {
      for (size_t column = 0; column < table.columns_; ++column) {
        const size_t cell = row * table.columns_ + column;
        table.routes_[cell] = tree.find(on_sphere(table.middle_of(cell)), plain);
      }
    }
  };
  std::vector<std::jthread> helpers;
  for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  return table;
}

}  // namespace verge::planner
