// Mean and deviation that no single reading can carry away: ExponentialMoments of readings that are brought to within
// six deviations of the mean (winsorised). What lasts is learnt nevertheless, the faster the longer it does: each such
// reading widens what is believed of the next.
//
// The first thirty are learnt together (series/first_readings.h). The deviation is never 0: a series that never varied
// has one of a billionth of its mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "series/exponential_moments.h"
#include "series/first_readings.h"

namespace verge::series {

inline constexpr double kSizeMax = 1e100;  // of a reading that is learnt; its square is a double

// What to compare with in the place of a deviation that may be 0, as where a series never varied.
inline double deviation_at_least(double deviation, double mean) {
  const double some = std::max(deviation, 1e-9 * std::fabs(mean));
  return some > 0 ? some : 1e-12;
}

class BoundedMoments {
 public:
  explicit BoundedMoments(double readings) : moments_(readings) {}

  // `value` is at most kSizeMax in size.
  void add(double value) {
    if (is_ready()) return moments_.add(bounded(value, kBelieved));
    first_.add(0, value);
    if (!first_.is_full()) return;
    const FirstReadings::Range believed = first_.believed();
    for (size_t i = 0; i < FirstReadings::kCount; ++i) moments_.add(believed.bounded(first_.value(i)));
  }
  // Whether mean and deviation say anything.
  [[nodiscard]] bool is_ready() const { return first_.is_full(); }
  [[nodiscard]] double mean() const { return moments_.mean(); }
  [[nodiscard]] double deviation() const { return deviation_at_least(moments_.deviation(), mean()); }
  // The value, brought to within so many deviations of the mean.
  [[nodiscard]] double bounded(double value, double deviations) const {
    const double room = deviations * deviation();
    return std::clamp(value, mean() - room, mean() + room);
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.first_, self.moments_);
  }

 private:
  static constexpr double kBelieved = 6;  // deviations

  FirstReadings first_;
  ExponentialMoments moments_;
};

}  // namespace verge::series
