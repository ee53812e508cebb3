// A grid of values: low + step * index. Both ends of a line compute it in the same way, so both have the same doubles.
#pragma once

#include <cmath>
#include <cstdint>

namespace verge::series {

struct Grid {
  double low = 0;
  double step = 1;

  // Beyond 2^52 steps the indices saturate.
  [[nodiscard]] int64_t index_of(double value) const {
    constexpr double kIndexMax = 4503599627370496;
    const double index = std::nearbyint((value - low) / step);
    if (!(std::fabs(index) <= kIndexMax)) return index > 0 ? int64_t{1} << 52 : -(int64_t{1} << 52);
    return static_cast<int64_t>(index);
  }
  [[nodiscard]] double value_at(int64_t index) const { return low + step * static_cast<double>(index); }
};

}  // namespace verge::series
