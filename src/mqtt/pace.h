// Pace: how fast something may come, as a token bucket that is kept as one time: that until which what came is paid for
// (the generic cell rate algorithm, ITU-T I.371). What was not used of the last kBurst is there to be used; what came
// beyond it is owed, and the time says until when.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace verge::mqtt {

class Pace {
 public:
  static constexpr Duration kBurst = std::chrono::seconds(1);

  // `amount` came, of which `per_second` may come; 0: any.
  void take(uint64_t amount, uint64_t per_second, MonotonicTime now) {
    if (per_second == 0) return;
    const double seconds = static_cast<double>(amount) / static_cast<double>(per_second);
    paid_until_ = std::max(paid_until_, now - kBurst) + Duration(static_cast<int64_t>(seconds * 1e9));
  }
  // Nothing more is to come before that; in the past: now.
  [[nodiscard]] MonotonicTime due() const { return paid_until_; }

 private:
  MonotonicTime paid_until_{};
};

}  // namespace verge::mqtt
