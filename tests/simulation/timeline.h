// Timeline: what happens in a simulation, in the order of a clock that jumps from one thing to the next. Things that
// are due at one time happen in the order in which they were planned, so that a run depends on nothing but its seed.
#pragma once

#include <functional>
#include <map>

#include "base/clock.h"

namespace verge::tests {

class Timeline {
 public:
  using Task = std::move_only_function<void()>;

  void after(Duration delay, Task task) {
    tasks_.emplace(clock_.monotonic() + std::max(delay, Duration(0)), std::move(task));
  }
  // Runs what is due next. False: nothing is planned, or not before `until`.
  bool step(MonotonicTime until = MonotonicTime::max()) {
    const auto first = tasks_.begin();
    if (first == tasks_.end() || first->first > until) return false;
    clock_.advance(first->first - clock_.monotonic());
    Task task = std::move(first->second);
    tasks_.erase(first);
    task();
    return true;
  }
  // Nothing is due before `time`: it is that late now.
  void pass(MonotonicTime time) {
    if (time > clock_.monotonic()) clock_.advance(time - clock_.monotonic());
  }
  [[nodiscard]] MonotonicTime now() const { return clock_.monotonic(); }
  [[nodiscard]] const Clock& clock() const { return clock_; }

 private:
  ManualClock clock_;
  std::multimap<MonotonicTime, Task> tasks_;  // equal keys stay in the order of their insertion
};

}  // namespace verge::tests
