// How unlike its past the recent course of a series is: the distance of the last readings, as a vector, to the nearest
// of 256 remembered ones.
//
// A shape has `points` means of `stride` readings each. Shapes are remembered after they have passed entirely, so that
// none is compared with its own readings; once there are 256, one in eight takes a place drawn by chance.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "series/recent_values.h"

namespace verge::series {

class ShapeNovelty {
 public:
  static constexpr size_t kShapes = 256;
  static constexpr size_t kShapesMin = 20;  // with fewer nothing is new
  static constexpr size_t kPointsMax = 16;

  enum class Level : uint8_t { kKept, kRemoved };  // whether a shape is compared where it is, or about its mean

  ShapeNovelty(size_t points, size_t stride, Level level)
      : points_(points), stride_(stride), level_(level), shapes_(points * kShapes) {}

  // Root mean square distances to the nearest shape and to the third nearest; 0 while there are too few.
  struct Distances {
    double nearest = 0;
    double third = 0;
  };
  // `history` ends with the latest reading; it holds at least 2 * readings() of them once so many came. Values are
  // taken relative to `origin`, so that single precision suffices.
  Distances add(const RecentValues& history, double origin);

  [[nodiscard]] size_t readings() const { return points_ * stride_; }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.shapes_, self.size_, self.seen_);
  }
  [[nodiscard]] bool is_sound() const { return size_ <= kShapes; }

 private:
  using Shape = std::array<float, kPointsMax>;

  [[nodiscard]] Shape shape_at(const RecentValues& history, size_t age, double origin) const;
  [[nodiscard]] Distances compare(const Shape& shape) const;
  void remember(const Shape& shape);

  size_t points_;
  size_t stride_;
  Level level_;
  std::vector<float> shapes_;  // [point][shape]
  uint64_t size_ = 0;
  uint64_t seen_ = 0;
};

}  // namespace verge::series
