// A seasonal model as a detector: the difference from the profile of the day, in deviations of the last 200 or so such
// differences.
//
// z / (z + 4): 0.5 at four deviations. The first day scores by the overall mean in the profile's stead; the first 30
// readings, and what is not finite, score 0. What is learnt of a reading is at most 20 deviations off, so that no
// single one hides those after it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "series/bounded_moments.h"
#include "series/seasonal_profile.h"

namespace verge::series {

class SeasonalDetector {
 public:
  static constexpr uint8_t kStateVersion = 2;

  double add(int64_t time_us, double value) {
    if (!std::isfinite(value)) return 0;
    value = std::clamp(value, -kSizeMax, kSizeMax);
    if (!first_.is_full()) {
      begin(time_us, value);
      return 0;
    }
    const double expected = profile_.expected(time_us);
    const double difference = std::fabs(value - expected);
    const double deviation = deviation_at_least(std::sqrt(usual_.variance() + usual_.mean() * usual_.mean()), expected);
    const double room = kBelieved * deviation;
    usual_.add(std::fabs(profile_.add(time_us, std::clamp(value, expected - room, expected + room))));
    return difference / (difference + 4 * deviation);
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.first_, self.profile_, self.usual_);
  }

 private:
  static constexpr double kBelieved = 20;  // deviations

  void begin(int64_t time_us, double value) {
    first_.add(time_us, value);
    if (!first_.is_full()) return;
    const FirstReadings::Range believed = first_.believed();
    for (size_t i = 0; i < FirstReadings::kCount; ++i) {
      usual_.add(std::fabs(profile_.add(first_.time_us(i), believed.bounded(first_.value(i)))));
    }
  }

  FirstReadings first_;
  SeasonalProfile profile_{kDayMicroseconds, 96, 0.05};
  ExponentialMoments usual_{200};  // of the sizes of differences
};

}  // namespace verge::series
