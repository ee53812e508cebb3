#include "series/information.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace verge::series {
namespace {

constexpr size_t kBins = 256;
constexpr double kBitsMax = 8;  // log2 kBins
using Histogram = std::array<uint64_t, kBins>;

double share_of_entropy(const Histogram& histogram) {
  double total = 0;
  for (const uint64_t count : histogram) total += static_cast<double>(count);
  double bits = 0;
  for (const uint64_t count : histogram) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    bits -= share * std::log2(share);
  }
  return std::clamp(bits / kBitsMax, 0.0, 1.0);
}

}  // namespace

double information(std::span<const double> values) {
  double low = std::numeric_limits<double>::max();
  double high = std::numeric_limits<double>::lowest();
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!(low < high)) return 0;
  Histogram histogram{};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    // Halved: the difference of two doubles may be beyond the largest.
    const double place = (value / 2 - low / 2) / (high / 2 - low / 2) * kBins;
    ++histogram[std::min(kBins - 1, static_cast<size_t>(place))];
  }
  return share_of_entropy(histogram);
}

double information(std::string_view bytes) {
  Histogram histogram{};
  for (const char byte : bytes) ++histogram[static_cast<uint8_t>(byte)];
  return share_of_entropy(histogram);
}

double InformationWindow::add(double value) {
  if (std::isfinite(value)) window_.add(value);
  std::vector<double> values(window_.size());
  for (size_t i = 0; i < values.size(); ++i) values[i] = window_.back(i);
  return information(values);
}

}  // namespace verge::series
