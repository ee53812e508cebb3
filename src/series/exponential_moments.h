// Mean and variance that forget: readings weigh less by a factor e every `readings` of them. Until that many came, the
// plain mean and variance.
#pragma once

#include <algorithm>
#include <cmath>

namespace verge::series {

class ExponentialMoments {
 public:
  explicit ExponentialMoments(double readings) : weight_min_(1 / readings) {}

  void add(double value) {
    count_ += 1;
    const double weight = std::max(weight_min_, 1 / count_);
    const double step = value - mean_;
    mean_ += weight * step;
    variance_ = (1 - weight) * (variance_ + weight * step * step);
  }

  [[nodiscard]] bool is_empty() const { return count_ == 0; }
  [[nodiscard]] double count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double variance() const { return variance_; }
  [[nodiscard]] double deviation() const { return std::sqrt(std::max(variance_, 0.0)); }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.count_, self.mean_, self.variance_);
  }

 private:
  double weight_min_;
  double count_ = 0;
  double mean_ = 0;
  double variance_ = 0;
};

}  // namespace verge::series
