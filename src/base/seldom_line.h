// SeldomLine: when a line that would come by the thousand is written to the log. At most one in a period, and each says
// how many others there were.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace verge {

class SeldomLine {
 public:
  explicit SeldomLine(Duration period) : period_(period) {}

  // Something to be said happened. Nothing: not now; else how many were passed over since the last line.
  std::optional<uint64_t> due(MonotonicTime now) {
    if (quiet_until_ && now < *quiet_until_) {
      ++passed_over_;
      return std::nullopt;
    }
    quiet_until_ = now + period_;
    return std::exchange(passed_over_, 0);
  }

 private:
  const Duration period_;
  std::optional<MonotonicTime> quiet_until_;
  uint64_t passed_over_ = 0;
};

}  // namespace verge
