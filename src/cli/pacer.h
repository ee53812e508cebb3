// Pacer: calls back at a fixed rate, write after write, whatever became of the earlier ones. That is what makes a
// load open-loop: a server that stalls does not slow the clock down by which it is measured.
//
// A timerfd wakes the loop a little before a write is due; from there the loop polls, serving its sockets meanwhile,
// until the instant has come. (Waiting for the instant itself costs 40 to 80 µs of wake-up on an idle core, which
// would be counted as the server's.) Writes that are overdue are called back at once, with the time they were due.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/metrics.h"
#include "runtime/loop.h"

namespace verge::cli {

class Pacer final : private runtime::Watcher {
 public:
  // Longer than most wake-ups take.
  static constexpr Duration kLead = std::chrono::microseconds(60);

  // `index` counts from 0; `due` is start + index * interval.
  using Write = std::function<void(uint64_t index, MonotonicTime due)>;

  // `lead`: how long before a write is due the loop begins to poll; 0: never, where tens of µs do not matter.
  Pacer(runtime::Loop& loop, Write write, Duration lead = kLead);
  ~Pacer() override;
  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  // `finished` is called after the last of `writes` calls. `interval` > 0.
  void start(MonotonicTime start, Duration interval, uint64_t writes, std::function<void()> finished);
  void stop();

  [[nodiscard]] MonotonicTime due(uint64_t index) const { return start_ + interval_ * static_cast<int64_t>(index); }
  // How late the calls came: this program's own share of what it measures.
  [[nodiscard]] const Histogram::Snapshot& lateness() const { return lateness_; }

 private:
  void on_ready(uint32_t events) override;
  void arm();

  runtime::Loop& loop_;
  const Write write_;
  const Duration lead_;
  const int timer_;
  std::function<void()> finished_;
  MonotonicTime start_;
  Duration interval_{1};
  uint64_t next_ = 0;
  uint64_t writes_ = 0;
  Histogram::Snapshot lateness_;
};

}  // namespace verge::cli
