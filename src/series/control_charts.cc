#include "series/control_charts.h"

#include <algorithm>
#include <cmath>

namespace verge::series {
namespace {

constexpr double kAverageBelieved = 30;     // deviations that a reading moves the average by, at most
constexpr double kDeviationsMax = 1'000.0;  // of a reading; a change of a series that never varied is of many

}  // namespace

double EwmaChart::add(double value) {
  if (!std::isfinite(value)) return 0;
  value = std::clamp(value, -kSizeMax, kSizeMax);
  if (!usual_.is_ready()) {
    usual_.add(value);
    average_ = usual_.mean();
    return 0;
  }
  average_ += weight_ * (usual_.bounded(value, kAverageBelieved) - average_);
  rest_ *= (1 - weight_) * (1 - weight_);
  const double deviation = usual_.deviation() * std::sqrt(weight_ / (2 - weight_) * (1 - rest_));
  const double distance = std::fabs(average_ - usual_.mean());
  usual_.add(value);
  return distance / (distance + limit_ * deviation);
}

double Cusum::add(double value) {
  if (!std::isfinite(value)) return 0;
  value = std::clamp(value, -kSizeMax, kSizeMax);
  if (!usual_.is_ready()) {
    usual_.add(value);
    return 0;
  }
  if (std::max(above_, below_) >= limit_) above_ = below_ = 0;
  const double deviations = std::clamp((value - usual_.mean()) / usual_.deviation(), -kDeviationsMax, kDeviationsMax);
  above_ = std::max(0.0, above_ + deviations - slack_);
  below_ = std::max(0.0, below_ - deviations - slack_);
  usual_.add(value);
  const double sum = std::max(above_, below_);
  return sum / (sum + limit_);
}

}  // namespace verge::series
