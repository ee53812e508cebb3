// Undisturbed: the latencies of those moments in which the machine had its processors to itself.
//
// A hypervisor that gives a processor to others shows as "steal" in proc_stat(5), to a clock tick (10 ms). Latencies
// are gathered in windows of 100 ms; a window counts when no tick was stolen in it nor in the one before, in which its
// oldest messages were due. What is left says what the programs under test do; what all windows say includes what the
// machine did.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"

namespace verge::cli {

// Stolen time of all processors together in clock ticks, from the text of /proc/stat.
std::optional<uint64_t> parse_stolen_ticks(std::string_view stat);

class Undisturbed {
 public:
  static constexpr Duration kWindow = std::chrono::milliseconds(100);

  void record(MonotonicTime now, Duration latency) {
    if (now - since_ >= kWindow) close_window(now, stolen_ticks_now());
    window_.push_back(latency);
  }
  // Ends the window: what it holds counts if `stolen_ticks` is what it was two windows ago; never if it is not known.
  void close_window(MonotonicTime now, std::optional<uint64_t> stolen_ticks);

  [[nodiscard]] const Histogram::Snapshot& latency() const { return latency_; }

 private:
  static std::optional<uint64_t> stolen_ticks_now();

  MonotonicTime since_{};
  std::optional<uint64_t> stolen_at_start_;
  bool previous_was_quiet_ = false;
  std::vector<Duration> window_;
  Histogram::Snapshot latency_;
};

}  // namespace verge::cli
