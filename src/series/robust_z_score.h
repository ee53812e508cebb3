// Robust z-score: how many deviations a reading is from the median of the last ones, the deviation estimated by the
// median absolute deviation. Half of the window may be outliers before it is misled.
//
// z / (z + 3.5), so that 0.5 is the usual threshold of 3.5 (Iglewicz and Hoaglin 1993). Where more than half of the
// window is one value, any other value scores 1. The first kWindowMin readings, and what is not finite, score 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "series/recent_values.h"

namespace verge::series {

class RobustZScore {
 public:
  static constexpr uint8_t kStateVersion = 1;
  static constexpr size_t kWindowMin = 10;

  explicit RobustZScore(size_t window = 256) : window_(window) {}

  double add(double value);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.window_);
  }

 private:
  RecentValues window_;
};

}  // namespace verge::series
