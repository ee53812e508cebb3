#include "series/control_charts.h"

#include <algorithm>
#include <cmath>

namespace verge::series {
namespace {

constexpr double kFirstReadings = 30;

}  // namespace

double EwmaChart::add(double value) {
  if (!std::isfinite(value)) return 0;
  double score = 0;
  if (usual_.count() < kFirstReadings) {
    usual_.add(value);
    average_ = usual_.mean();
    return 0;
  }
  average_ += weight_ * (value - average_);
  rest_ *= (1 - weight_) * (1 - weight_);
  const double deviation = usual_.deviation() * std::sqrt(weight_ / (2 - weight_) * (1 - rest_));
  const double distance = std::fabs(average_ - usual_.mean());
  if (distance > 0) score = distance / (distance + limit_ * deviation);
  usual_.add(value);
  return score;
}

double Cusum::add(double value) {
  if (!std::isfinite(value)) return 0;
  if (usual_.count() < kFirstReadings) {
    usual_.add(value);
    return 0;
  }
  if (std::max(above_, below_) >= limit_) above_ = below_ = 0;
  const double from_mean = value - usual_.mean();
  const double deviation = usual_.deviation();
  // A change of a series that never varied is one of as many deviations as one likes.
  const double deviations = deviation > 0 ? from_mean / deviation : from_mean == 0 ? 0 : std::copysign(1e3, from_mean);
  above_ = std::max(0.0, above_ + deviations - slack_);
  below_ = std::max(0.0, below_ - deviations - slack_);
  usual_.add(value);
  const double sum = std::max(above_, below_);
  return sum / (sum + limit_);
}

}  // namespace verge::series
