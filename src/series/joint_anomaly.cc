#include "series/joint_anomaly.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/assert.h"

namespace verge::series {
namespace {

constexpr double kMemory = 1000;  // rows that mean and covariance follow
// Of a variance, added to it: columns that are functions of each other have a covariance without inverse.
constexpr double kRidge = 1e-4;

// |L^-1 v|^2 where L L' = matrix; v is overwritten. Columns without variance do not count.
double whitened_square(std::vector<double> matrix, std::span<double> v) {
  const size_t n = v.size();
  double square = 0;
  for (size_t i = 0; i < n; ++i) {
    const double variance = matrix[i * n + i];
    double rest = variance * (1 + kRidge);
    double value = v[i];
    for (size_t j = 0; j < i; ++j) {
      double sum = matrix[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= matrix[i * n + k] * matrix[j * n + k];
      const double pivot = matrix[j * n + j];
      matrix[i * n + j] = pivot > 0 ? sum / pivot : 0;
      rest -= matrix[i * n + j] * matrix[i * n + j];
      value -= matrix[i * n + j] * v[j];
    }
    rest = std::max(rest, variance * kRidge);
    matrix[i * n + i] = std::sqrt(rest);
    v[i] = rest > 0 ? value / matrix[i * n + i] : 0;
    square += v[i] * v[i];
  }
  return square;
}

}  // namespace

JointAnomalyDetector::JointAnomalyDetector(size_t columns)
    : columns_(columns), means_(columns), covariance_(columns * columns) {
  VERGE_ASSERT(columns >= 1 && columns <= kJointColumnsMax);
}

double JointAnomalyDetector::add(int64_t time_us, std::span<const double> values) {
  VERGE_ASSERT(values.size() == columns_.size());
  Evidence joint;
  size_t present = 0;
  size_t known = 0;
  std::array<double, kJointColumnsMax> believed{};
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    ++present;
    if (const std::optional<double> column = columns_[i].believed(values[i])) {
      believed[i] = *column;
      ++known;
    }
    const Evidence evidence = columns_[i].add(time_us, values[i]);
    joint.excess += evidence.excess / std::sqrt(static_cast<double>(columns_.size()));
    joint.nearest = std::max(joint.nearest, evidence.nearest);
  }
  if (present == 0) return 0;
  if (known == columns_.size() && known > 1) {
    const double far = std::sqrt(distance(std::span(believed).first(known)));
    const double ratio = relation_.add(std::isfinite(far) ? far : 0);
    joint.excess += std::max(0.0, ratio);
    joint.nearest = std::max(joint.nearest, ratio);
  }
  return score_.add(joint);
}

double JointAnomalyDetector::distance(std::span<const double> values) {
  const size_t n = values.size();
  std::array<double, kJointColumnsMax> from_mean{};
  for (size_t i = 0; i < n; ++i) from_mean[i] = rows_ > 0 ? values[i] - means_[i] : 0;
  std::array<double, kJointColumnsMax> whitened = from_mean;
  const double square = whitened_square(covariance_, std::span(whitened).first(n));
  rows_ += 1;
  const double weight = std::max(1 / kMemory, 1 / rows_);
  for (size_t i = 0; i < n; ++i) {
    if (rows_ == 1) means_[i] = values[i];
    means_[i] += weight * from_mean[i];
    for (size_t j = 0; j < n; ++j) {
      double& shared = covariance_[i * n + j];
      shared = (1 - weight) * (shared + weight * from_mean[i] * from_mean[j]);
    }
  }
  return square;
}

}  // namespace verge::series
