// A seasonal model as a detector: the difference from the profile of the day, in deviations of the last 200 or so such
// differences.
//
// z / (z + 4): 0.5 at four deviations. The first day scores by the overall mean in the profile's stead; the first 30
// readings, and what is not finite, score 0.
#pragma once

#include <cmath>
#include <cstdint>

#include "series/exponential_moments.h"
#include "series/seasonal_profile.h"

namespace verge::series {

class SeasonalDetector {
 public:
  static constexpr uint8_t kStateVersion = 1;

  double add(int64_t time_us, double value) {
    if (!std::isfinite(value)) return 0;
    const double difference = std::fabs(profile_.add(time_us, value));
    const double deviation = std::sqrt(usual_.variance() + usual_.mean() * usual_.mean());
    const double score = usual_.count() < 30 || difference == 0 ? 0 : difference / (difference + 4 * deviation);
    usual_.add(difference);
    return score;
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.profile_, self.usual_);
  }

 private:
  SeasonalProfile profile_{kDayMicroseconds, 96, 0.05};
  ExponentialMoments usual_{200};  // of the sizes of differences
};

}  // namespace verge::series
