// What a series usually is at this time of the day or week: a mean for each slice of a period.
//
// Each slice learns with the mean of its first readings and then forgets slowly. A slice that has seen nothing yet is
// answered by the overall mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "series/exponential_moments.h"

namespace verge::series {

inline constexpr int64_t kDayMicroseconds = 86'400'000'000;
inline constexpr int64_t kWeekMicroseconds = 7 * kDayMicroseconds;

class SeasonalProfile {
 public:
  // `learning` is the least weight of a new reading in its slice. Weeks are counted from 1970-01-01, a Thursday.
  SeasonalProfile(int64_t period_us, size_t slices, double learning)
      : period_us_(period_us), learning_(learning), slices_(slices) {}

  // The reading minus what was expected; then learns it. 0 for the very first.
  double add(int64_t time_us, double value);
  [[nodiscard]] double expected(int64_t time_us) const;

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.slices_, self.overall_);
  }

 private:
  struct Slice {
    double mean = 0;
    double count = 0;

    template <class Self, class Archive>
    static void visit(Self& self, Archive& archive) {
      archive(self.mean, self.count);
    }
  };

  [[nodiscard]] size_t slice_of(int64_t time_us) const;

  int64_t period_us_;
  double learning_;
  std::vector<Slice> slices_;
  ExponentialMoments overall_{1000};
};

}  // namespace verge::series
