#include "series/robust_z_score.h"

#include <algorithm>
#include <cmath>

namespace verge::series {
namespace {

constexpr double kNormal = 1.4826;  // the deviation of a normal distribution in units of its median absolute deviation
constexpr double kThreshold = 3.5;

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

double RobustZScore::add(double value) {
  if (!std::isfinite(value)) return 0;
  double score = 0;
  if (window_.size() >= kWindowMin) {
    std::vector<double> values(window_.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = window_.back(i);
    const double center = median(values);
    for (double& other : values) other = std::fabs(other - center);
    const double deviation = kNormal * median(values);
    const double distance = std::fabs(value - center);
    score = distance == 0 ? 0 : distance / (distance + kThreshold * deviation);
  }
  window_.add(value);
  return score;
}

}  // namespace verge::series
