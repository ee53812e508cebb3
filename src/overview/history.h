// History: a node's figures over the last hour, at fixed memory: a ring of samples, the oldest of which goes.
//
// Samples are told apart by a clock that nobody sets. What time of day it was is counted back from the newest, by the
// wall clock as it is then: one that was set neither tears the hour nor turns it round.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "overview/figures.h"

namespace verge::overview {

class History {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(2);
  static constexpr size_t kSamples = 1800;

  // `at` never falls; `time`: of the newest.
  void add(MonotonicTime at, WallTime time, const Figures& figures);
  [[nodiscard]] size_t size() const { return times_.size(); }
  // The sample so many before the newest, which is 0.
  [[nodiscard]] double value(Figure figure, size_t back) const;
  [[nodiscard]] WallTime time(size_t back) const;
  // How many of the newest samples are at most `span` older than the newest.
  [[nodiscard]] size_t within(Duration span) const;

  // {"every_ms":…,"times_ms":[…],"series":{"events_per_s":[…],…}}, oldest first: the samples of the last `span`, at
  // most `points` of them, each the mean of those that it stands for; null: nothing to say.
  [[nodiscard]] std::string json(std::span<const Figure> figures, Duration span, size_t points) const;

 private:
  [[nodiscard]] size_t index(size_t back) const;

  // Grow to kSamples with time, then stay.
  std::vector<int64_t> times_;                           // µs, monotonic
  std::vector<std::array<float, kFigureCount>> values_;  // likewise
  size_t next_ = 0;                                      // where the next one goes, once they are full
  int64_t behind_ = 0;                                   // µs from these times to the wall clock
};

}  // namespace verge::overview
