// How far a reading is from the nearest value that a sample of the past holds: a measure of values never seen, which
// does not care how the seen ones are distributed.
//
// The sample has 512 values. Readings enter it ten readings late, so that an event does not excuse itself; once it is
// full, one reading in eight takes a place drawn by chance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "series/recent_values.h"

namespace verge::series {

class ValueNovelty {
 public:
  static constexpr size_t kSample = 512;
  static constexpr size_t kDelay = 10;
  static constexpr size_t kSampleMin = 20;  // with fewer nothing is new

  // The distance of `value`; `entering` is what the sample learns in its place.
  double add(double value, double entering);
  // What it holds, rising.
  [[nodiscard]] std::span<const double> sample() const { return std::span(sorted_).first(size_); }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.sorted_, self.size_, self.waiting_, self.seen_);
  }
  [[nodiscard]] bool is_sound() const;

 private:
  void enter(double value);

  std::vector<double> sorted_ = std::vector<double>(kSample);  // the first size_
  uint64_t size_ = 0;
  RecentValues waiting_{kDelay};
  uint64_t seen_ = 0;
};

}  // namespace verge::series
