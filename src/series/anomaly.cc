#include "series/anomaly.h"

#include <algorithm>
#include <cmath>

namespace verge::series {
namespace {

constexpr double kFade = 0.98347145382161748;  // e^(-1/60): how the memory of an event fades a reading
constexpr double kBelowRecords = 0.25;         // the scores of what exceeds nothing
constexpr double kTypicalExcess = 0.030;       // scores half of what is left above kBelowRecords

}  // namespace

double AnomalyScore::add(const Evidence& evidence) {
  const double fresh = std::max(0.0, evidence.excess - recent_);
  recent_ = std::max(recent_ * kFade, evidence.excess);
  if (fresh <= 0) return kBelowRecords * std::exp(std::min(0.0, evidence.nearest));
  return kBelowRecords + (1 - kBelowRecords) * fresh / (fresh + kTypicalExcess);
}

double AnomalyDetector::add(int64_t time_us, double value) {
  if (!std::isfinite(value)) return 0;
  return score_.add(evidence_.add(time_us, value));
}

}  // namespace verge::series
