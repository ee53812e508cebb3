// information(x): how much there is to know in a window of readings, from 0 (always the same) to 1 (all different).
//
// Shannon's entropy over a histogram of 256 bins, divided by log2 256 = 8 bits. Numbers are spread over 256 equal bins
// from the least to the largest of the window; bytes are their own bins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "series/recent_values.h"

namespace verge::series {

// What is not finite is left out; 0 without values.
double information(std::span<const double> values);
double information(std::string_view bytes);

// Of the last readings.
class InformationWindow {
 public:
  static constexpr uint8_t kStateVersion = 1;

  explicit InformationWindow(size_t readings = 1024) : window_(readings) {}

  // Adds a reading and answers for the window that ends with it. What is not finite is not added.
  double add(double value);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.window_);
  }

 private:
  RecentValues window_;
};

}  // namespace verge::series
