// Which reduction for a window, by what the line carries until the deadline.
#pragma once

#include <cstddef>
#include <span>

#include "series/reduced_series.h"

namespace verge::series {

struct Choice {
  Reduction reduction;
  Reduced reduced;
  // 1 minus the root mean square error as a share of the window's range: 1 is the original.
  double quality = 1;
  // Whether the record has at most `bytes_max`. If none has, this is the smallest that there is.
  bool fits = false;
};

// The smallest record whose readings are off by at most `tolerance` > 0.
Choice smallest_within(const Window& window, double tolerance, std::span<const size_t> exact);

// Raw where it fits; else lossless where it fits; else of all methods, each at the finest setting that fits, the record
// of the best quality; else the smallest, and fits is false.
Choice best_within(const Window& window, size_t bytes_max, std::span<const size_t> exact);

// bandwidth x deadline, in bytes.
size_t bytes_until(double bits_per_second, double milliseconds);

}  // namespace verge::series
