// What speaks for an anomaly in one series: sixteen measures of strangeness in four families, each against its records.
//
//   season       the difference from the profile of the day and of the week, plain and smoothed
//   value        a reading unlike any seen
//   variability  the short-term deviation, and the size of the steps, against their long-term usual
//   shape        a course of the last readings unlike any seen
//
// No measure is good everywhere: counters have no season, a flat line in a noisy series has no unusual value. Records
// (series/record_ratio.h) make them comparable; the evidence is the sum of what exceeds its record.
//
// A single reading must not hide what comes after it, however far off it is: what is measured and learnt of a reading
// is at most eight times the range of the sample of the past beyond that range, which is taken without the sample's
// four lowest and highest values. The sample itself takes readings as they are, so that what lasts, or comes again,
// widens the range. The first readings (series/first_readings.h) are held back, and learnt together.
//
// A state takes some 56 KB; state_bytes() says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "series/exponential_moments.h"
#include "series/first_readings.h"
#include "series/recent_values.h"
#include "series/record_ratio.h"
#include "series/seasonal_profile.h"
#include "series/shape_novelty.h"
#include "series/value_novelty.h"

namespace verge::series {

struct Evidence {
  static constexpr double kNone = -14;  // log 1e-6, rounded down

  double excess = 0;       // >= 0: by how much records were exceeded, in logarithms, weighted over families
  double nearest = kNone;  // the largest log ratio of any measure
};

class AnomalyEvidence {
 public:
  // `value` is finite. `time_us` since 1970, or any clock of the series' own; the season is the only one to use it.
  Evidence add(int64_t time_us, double value);
  // What is taken of such a reading; nothing while the first are held back.
  [[nodiscard]] std::optional<double> believed(double value) const;

  // Bytes of memory that one object holds, all included.
  static size_t state_bytes();

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.first_, self.history_, self.origin_, self.day_, self.hours_, self.week_, self.smooth_, self.spread_,
            self.usual_, self.usual_spread_, self.steps_, self.usual_step_, self.usual_steps_, self.novelty_,
            self.coarse_, self.long_, self.fine_, self.brief_, self.records_);
  }

 private:
  static constexpr size_t kSeasonMeasures = 5;
  static constexpr size_t kVariabilityMeasures = 5;
  static constexpr size_t kShapeMeasures = 5;
  static constexpr size_t kMeasures = kSeasonMeasures + 1 + kVariabilityMeasures + kShapeMeasures;

  [[nodiscard]] double within_range(double value) const;
  // `value` is what is believed of `raw`.
  Evidence measure(int64_t time_us, double raw, double value);
  void measure_season(int64_t time_us, double value, double* strangeness);
  void measure_variability(double value, double* strangeness);
  void measure_shape(double* strangeness);

  FirstReadings first_;
  RecentValues history_{2 * 96};
  double origin_ = 0;
  SeasonalProfile day_{kDayMicroseconds, 96, 0.05};
  SeasonalProfile hours_{kDayMicroseconds, 24, 0.05};
  SeasonalProfile week_{kWeekMicroseconds, 168, 0.2};
  std::array<ExponentialMoments, 3> smooth_{ExponentialMoments(10), ExponentialMoments(3), ExponentialMoments(3)};
  std::array<ExponentialMoments, 3> spread_{ExponentialMoments(5), ExponentialMoments(10), ExponentialMoments(50)};
  ExponentialMoments usual_{1000};
  std::array<ExponentialMoments, 3> usual_spread_{ExponentialMoments(1000), ExponentialMoments(1000),
                                                  ExponentialMoments(1000)};
  std::array<ExponentialMoments, 2> steps_{ExponentialMoments(20), ExponentialMoments(50)};
  ExponentialMoments usual_step_{1000};
  std::array<ExponentialMoments, 2> usual_steps_{ExponentialMoments(1000), ExponentialMoments(1000)};
  ValueNovelty novelty_;
  ShapeNovelty coarse_{8, 3, ShapeNovelty::Level::kKept};
  ShapeNovelty long_{16, 6, ShapeNovelty::Level::kRemoved};
  ShapeNovelty fine_{16, 1, ShapeNovelty::Level::kKept};
  ShapeNovelty brief_{4, 1, ShapeNovelty::Level::kKept};
  std::array<RecordRatio, kMeasures> records_;
};

}  // namespace verge::series
