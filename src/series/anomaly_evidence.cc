#include "series/anomaly_evidence.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "series/bounded_moments.h"

namespace verge::series {
namespace {

// Of each family, shared evenly by its measures.
constexpr double kSeasonWeight = 1;
constexpr double kValueWeight = 1;
constexpr double kVariabilityWeight = 0.5;
constexpr double kShapeWeight = 1;

constexpr size_t kOdd = 4;             // values at either end of a sample that say nothing of its range
constexpr double kBelievedRanges = 8;  // beyond the range

// The range of what rises, without its odd ends; of very few different values, as much of the ends as it takes.
FirstReadings::Range believed_of(std::span<const double> rising) {
  if (rising.empty()) return {-kSizeMax, kSizeMax};
  for (size_t odd = std::min(kOdd, rising.size() / 8);; --odd) {
    const double low = rising[odd];
    const double high = rising[rising.size() - 1 - odd];
    const double room = kBelievedRanges * (high - low);
    if (high > low) return {low - room, high + room};
    if (odd == 0) return {-kSizeMax, kSizeMax};  // it never varied: there is nothing to compare with
  }
}

// The distance of log(now / usual) from its own mean; `now` is taken as at least a thousandth of `usual`.
double unusual(double now, double usual, ExponentialMoments& usual_log) {
  const double level = std::log((now + 1e-3 * usual + 1e-12) / (usual + 1e-12));
  const double distance = usual_log.is_empty() ? 0 : std::fabs(level - usual_log.mean());
  usual_log.add(level);
  return distance;
}

}  // namespace

Evidence AnomalyEvidence::add(int64_t time_us, double value) {
  if (!first_.is_full()) {
    first_.add(time_us, std::clamp(value, -kSizeMax, kSizeMax));
    if (!first_.is_full()) return {};
    const FirstReadings::Range range = first_.believed();
    Evidence last;
    for (size_t i = 0; i < FirstReadings::kCount; ++i) {
      last = measure(first_.time_us(i), first_.value(i), range.bounded(first_.value(i)));
    }
    return last;
  }
  return measure(time_us, value, within_range(value));
}

std::optional<double> AnomalyEvidence::believed(double value) const {
  return first_.is_full() ? std::optional(within_range(value)) : std::nullopt;
}

double AnomalyEvidence::within_range(double value) const {
  return believed_of(novelty_.sample()).bounded(std::clamp(value, -kSizeMax, kSizeMax));
}

Evidence AnomalyEvidence::measure(int64_t time_us, double raw, double value) {
  if (history_.size() == 0) origin_ = value;
  std::array<double, kMeasures> strangeness{};
  double* next = strangeness.data();
  measure_season(time_us, value, next);
  next += kSeasonMeasures;
  *next++ = novelty_.add(value, std::clamp(raw, -kSizeMax, kSizeMax));
  measure_variability(value, next);  // compares with the reading before
  next += kVariabilityMeasures;
  history_.add(value);
  measure_shape(next);

  Evidence evidence;
  size_t at = 0;
  const auto gather = [&](size_t measures, double weight) {
    for (size_t i = 0; i < measures; ++i, ++at) {
      const double ratio = records_[at].add(strangeness[at]);
      evidence.nearest = std::max(evidence.nearest, ratio);
      evidence.excess += std::max(0.0, ratio) * weight / static_cast<double>(measures);
    }
  };
  gather(kSeasonMeasures, kSeasonWeight);
  gather(1, kValueWeight);
  gather(kVariabilityMeasures, kVariabilityWeight);
  gather(kShapeMeasures, kShapeWeight);
  return evidence;
}

void AnomalyEvidence::measure_season(int64_t time_us, double value, double* strangeness) {
  const double of_day = day_.add(time_us, value);
  const double of_hour = hours_.add(time_us, value);
  const double of_week = week_.add(time_us, value);
  smooth_[0].add(of_day);
  smooth_[1].add(of_hour);
  smooth_[2].add(of_week);
  strangeness[0] = std::fabs(of_day);
  strangeness[1] = std::fabs(smooth_[0].mean());
  strangeness[2] = std::fabs(smooth_[1].mean());
  strangeness[3] = std::fabs(of_week);
  strangeness[4] = std::fabs(smooth_[2].mean());
}

void AnomalyEvidence::measure_variability(double value, double* strangeness) {
  usual_.add(value);
  for (size_t i = 0; i < spread_.size(); ++i) {
    spread_[i].add(value);
    *strangeness++ = unusual(spread_[i].deviation(), usual_.deviation(), usual_spread_[i]);
  }
  const double step = history_.size() == 0 ? 0 : std::fabs(value - history_.back(0));
  usual_step_.add(step);
  for (size_t i = 0; i < steps_.size(); ++i) {
    steps_[i].add(step);
    *strangeness++ = unusual(steps_[i].mean(), usual_step_.mean(), usual_steps_[i]);
  }
}

void AnomalyEvidence::measure_shape(double* strangeness) {
  const ShapeNovelty::Distances coarse = coarse_.add(history_, origin_);
  strangeness[0] = coarse.nearest;
  strangeness[1] = coarse.third;
  strangeness[2] = long_.add(history_, origin_).nearest;
  strangeness[3] = fine_.add(history_, origin_).nearest;
  strangeness[4] = brief_.add(history_, origin_).third;
}

size_t AnomalyEvidence::state_bytes() {
  const size_t shapes = (8 + 16 + 16 + 4) * ShapeNovelty::kShapes * sizeof(float);
  const size_t slices = (96 + 24 + 168) * 2 * sizeof(double);
  const size_t values = (ValueNovelty::kSample + ValueNovelty::kDelay + 2 * 96) * sizeof(double);
  return sizeof(AnomalyEvidence) + shapes + slices + values;
}

}  // namespace verge::series
