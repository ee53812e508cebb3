// The two classical charts for small lasting changes of a level.
//
// Both compare with the mean and deviation of the last thousand or so readings, learn what they compare with slowly,
// and score 0 for the first 30 readings and for what is not finite. 0.5 is the alarm of the textbooks. A single
// reading, however far off, changes little of what the next ones are compared with (series/bounded_moments.h).
#pragma once

#include <cstdint>

#include "series/bounded_moments.h"

namespace verge::series {

// Exponentially weighted moving average (Roberts 1959): alarm when the average leaves `limit` of its own deviations.
class EwmaChart {
 public:
  static constexpr uint8_t kStateVersion = 2;

  explicit EwmaChart(double weight = 0.2, double limit = 3) : weight_(weight), limit_(limit) {}

  double add(double value);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.usual_, self.average_, self.rest_);
  }

 private:
  double weight_;
  double limit_;
  BoundedMoments usual_{1000};
  double average_ = 0;
  double rest_ = 1;  // (1 - weight)^2n: what is left of the average's first value
};

// Cumulative sums of what exceeds `slack` deviations, up and down (Page 1954): alarm at `limit` deviations, after which
// both begin anew.
class Cusum {
 public:
  static constexpr uint8_t kStateVersion = 2;

  explicit Cusum(double slack = 0.5, double limit = 5) : slack_(slack), limit_(limit) {}

  double add(double value);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.usual_, self.above_, self.below_);
  }

 private:
  double slack_;
  double limit_;
  BoundedMoments usual_{1000};
  double above_ = 0;
  double below_ = 0;
};

}  // namespace verge::series
