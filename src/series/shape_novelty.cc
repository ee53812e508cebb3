#include "series/shape_novelty.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "series/chance.h"

namespace verge::series {
namespace {

constexpr double kSizeMax = 1e18;  // the sum of 16 squares of differences is a float

}  // namespace

ShapeNovelty::Distances ShapeNovelty::add(const RecentValues& history, double origin) {
  Distances distances;
  if (history.size() < readings()) return distances;
  const Shape shape = shape_at(history, 0, origin);
  if (size_ > kShapesMin) distances = compare(shape);
  if (history.size() >= 2 * readings()) remember(shape_at(history, readings(), origin));
  return distances;
}

ShapeNovelty::Shape ShapeNovelty::shape_at(const RecentValues& history, size_t age, double origin) const {
  std::array<double, kPointsMax> means{};
  double overall = 0;
  for (size_t point = 0; point < points_; ++point) {
    double sum = 0;
    for (size_t i = 0; i < stride_; ++i) sum += history.back(age + (points_ - 1 - point) * stride_ + i) - origin;
    means[point] = sum / static_cast<double>(stride_);
    overall += means[point] / static_cast<double>(points_);
  }
  Shape shape{};
  const double level = level_ == Level::kRemoved ? overall : 0;
  for (size_t point = 0; point < points_; ++point) {
    shape[point] = static_cast<float>(std::clamp(means[point] - level, -kSizeMax, kSizeMax));
  }
  return shape;
}

ShapeNovelty::Distances ShapeNovelty::compare(const Shape& shape) const {
  std::array<float, kShapes> squares{};
  for (size_t point = 0; point < points_; ++point) {
    const float* column = shapes_.data() + point * kShapes;
    const float own = shape[point];
    for (size_t i = 0; i < kShapes; ++i) squares[i] += (column[i] - own) * (column[i] - own);
  }
  float first = std::numeric_limits<float>::max();
  float second = first;
  float third = first;
  for (size_t i = 0; i < size_; ++i) {
    if (squares[i] >= third) continue;
    third = squares[i];
    if (third < second) std::swap(second, third);
    if (second < first) std::swap(first, second);
  }
  const auto points = static_cast<double>(points_);
  return {std::sqrt(first / points), std::sqrt(third / points)};
}

void ShapeNovelty::remember(const Shape& shape) {
  const uint64_t chance = scattered(seen_++);
  size_t place = size_;
  if (size_ < kShapes) {
    ++size_;
  } else {
    if (chance % 8 != 0) return;
    place = (chance >> 8) % kShapes;
  }
  for (size_t point = 0; point < points_; ++point) shapes_[point * kShapes + place] = shape[point];
}

}  // namespace verge::series
