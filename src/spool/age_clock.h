// AgeClock: the time by which records grow old. It counts monotonic time while a node runs, goes on over restarts from
// where it was last noted, and can be stopped while the parent is out of reach, so that an outage costs no record its
// time to live. Any thread.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace verge::spool {

class AgeClock {
 public:
  // `seconds`: where it was noted last.
  AgeClock(uint32_t seconds, MonotonicTime now) : age_(std::chrono::seconds(seconds)), since_(now) {}

  void set_running(bool running, MonotonicTime now) {
    const std::lock_guard lock(mutex_);
    advance(now);
    running_ = running;
  }
  [[nodiscard]] uint32_t seconds(MonotonicTime now) {
    const std::lock_guard lock(mutex_);
    advance(now);
    return static_cast<uint32_t>(age_ / std::chrono::seconds(1));
  }

 private:
  void advance(MonotonicTime now) {
    if (running_ && now > since_) age_ += now - since_;
    since_ = now;
  }

  std::mutex mutex_;
  Duration age_;
  MonotonicTime since_;
  bool running_ = true;
};

}  // namespace verge::spool
