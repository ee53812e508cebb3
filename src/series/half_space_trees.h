// Streaming half-space trees (Tan, Ting, Liu 2011): random axis-parallel cuts of the space of the last four readings;
// where few of the last window's points lie, a point is anomalous.
//
// 24 trees of depth 7 (some 25 KB). The space is that of the first window but for its two lowest and two highest
// readings, widened by chance; a window has 250 readings. The score is 0.5 where points are as dense as if they were
// spread evenly, near 1 where there were none, and 0 for the first window and for what is not finite.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "series/recent_values.h"

namespace verge::series {

class HalfSpaceTrees {
 public:
  static constexpr uint8_t kStateVersion = 2;
  static constexpr size_t kWindow = 250;

  HalfSpaceTrees() : latest_(kNodes * kTrees), reference_(kNodes * kTrees) {}

  double add(double value);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.latest_, self.reference_, self.lags_, self.in_window_, self.has_reference_, self.has_space_,
            self.lowest_, self.highest_);
  }
  [[nodiscard]] bool is_sound() const { return in_window_ <= kWindow; }

 private:
  static constexpr size_t kTrees = 24;
  static constexpr size_t kDepth = 7;
  static constexpr size_t kNodes = 1U << (kDepth + 1);  // 1 is the root; 2n and 2n + 1 are the halves of n
  static constexpr size_t kLags = 4;
  static constexpr double kSizeMin = 0.1 * kWindow;  // a node with fewer points is not cut further

  using Point = std::array<double, kLags>;
  // The mean over trees of 1 / (1 + density): one tree in which a point shares a cell with others does not decide.
  double sparsity(const Point& point) const;
  void count(const Point& point);
  void widen(double value);
  static std::array<double, 3> filled(double value) { return {value, value, value}; }

  std::vector<uint32_t> latest_;     // points in each node in the window that runs
  std::vector<uint32_t> reference_;  // in the one before
  RecentValues lags_{kLags};
  uint32_t in_window_ = 0;
  bool has_reference_ = false;
  bool has_space_ = false;
  // Of the first window, outermost first: a single glitch does not say how wide the space is.
  std::array<double, 3> lowest_ = filled(std::numeric_limits<double>::max());
  std::array<double, 3> highest_ = filled(std::numeric_limits<double>::lowest());
};

}  // namespace verge::series
