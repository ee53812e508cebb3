// Time is passed in wherever durability or agreement depends on it, so that the production code runs under simulation.
#pragma once

#include <chrono>
#include <cstdint>

namespace verge {

using Duration = std::chrono::nanoseconds;
// Never goes back; for intervals, timeouts, latencies. Nanoseconds since an arbitrary start.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Microseconds since 1970-01-01T00:00:00Z, as the wall says: may jump.
struct WallTime {
  int64_t microseconds = 0;
  auto operator<=>(const WallTime&) const = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonotonicTime monotonic() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall() const override;
};

// Stands still until told; for tests and simulation.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return MonotonicTime(elapsed_); }
  [[nodiscard]] WallTime wall() const override {
    return {kStart + std::chrono::duration_cast<std::chrono::microseconds>(elapsed_).count()};
  }
  void advance(Duration by) { elapsed_ += by; }

 private:
  static constexpr int64_t kStart = 1'700'000'000'000'000;
  Duration elapsed_{0};
};

}  // namespace verge
