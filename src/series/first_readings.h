// The first readings of a series, held back until there are enough to tell the odd from the usual: learnt one by one, a
// single glitch among them would be all that is known.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace verge::series {

class FirstReadings {
 public:
  static constexpr size_t kCount = 30;

  // Not full; `value` is finite.
  void add(int64_t time_us, double value) {
    times_us_[size_] = time_us;
    values_[size_++] = value;
  }
  [[nodiscard]] bool is_full() const { return size_ == kCount; }
  [[nodiscard]] int64_t time_us(size_t reading) const { return times_us_[reading]; }
  [[nodiscard]] double value(size_t reading) const { return values_[reading]; }

  struct Range {
    double low = 0;
    double high = 0;
    [[nodiscard]] double bounded(double value) const { return std::clamp(value, low, high); }
  };
  // What is believed of these, once full: three times the distance from their median that nine of ten keep.
  [[nodiscard]] Range believed() const {
    std::array<double, kCount> sorted = values_;
    const auto middle = sorted.begin() + kCount / 2;
    std::nth_element(sorted.begin(), middle, sorted.end());
    const double median = *middle;
    for (double& each : sorted) each = std::fabs(each - median);
    const auto ninth = sorted.begin() + kCount * 9 / 10 - 1;
    std::nth_element(sorted.begin(), ninth, sorted.end());
    return {median - 3 * *ninth, median + 3 * *ninth};
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.times_us_, self.values_, self.size_);
  }
  [[nodiscard]] bool is_sound() const {
    return size_ <= kCount && std::ranges::all_of(values_, [](double value) { return std::isfinite(value); });
  }

 private:
  std::array<int64_t, kCount> times_us_{};
  std::array<double, kCount> values_{};
  uint64_t size_ = 0;
};

}  // namespace verge::series
