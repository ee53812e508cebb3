#include "spool/line_rate.h"

#include <algorithm>

namespace verge::spool {
namespace {

// Of less, the time is the round trip's and not the line's.
constexpr size_t kMeasuredBytesMin = 4096;
constexpr double kWeight = 0.3;  // of the newest measurement
constexpr double kBatchSeconds = 4;
constexpr size_t kUnmeasuredBytesMax = 4U << 20;
constexpr size_t kBatchBytesMin = 16U << 10;
constexpr Duration kTimeoutMax = std::chrono::minutes(10);

}  // namespace

void LineRate::measure(size_t event_bytes, size_t wire_bytes, Duration sending, Duration preparing) {
  if (wire_bytes < kMeasuredBytesMin || sending <= Duration(0)) {
    unmeasured_bytes_ = std::min(unmeasured_bytes_ * 2, kUnmeasuredBytesMax);
    return;
  }
  const double rate = static_cast<double>(wire_bytes) / std::chrono::duration<double>(sending).count();
  bytes_per_s_ = bytes_per_s_ == 0 ? rate : (1 - kWeight) * bytes_per_s_ + kWeight * rate;
  const double ratio = static_cast<double>(event_bytes) / static_cast<double>(wire_bytes);
  compression_ = (1 - kWeight) * compression_ + kWeight * ratio;
  if (preparing > sending) {
    level_max_ = std::max(1, std::min(level_max_, compression_level()) - 1);
  } else if (preparing * 4 < sending) {
    level_max_ = std::min(9, level_max_ + 1);
  }
}

void LineRate::timed_out(size_t wire_bytes, Duration waited) {
  const double at_most = static_cast<double>(wire_bytes) / std::chrono::duration<double>(waited).count();
  bytes_per_s_ = (bytes_per_s_ == 0 ? at_most : std::min(bytes_per_s_, at_most)) / 2;
}

int LineRate::compression_level() const {
  int level = 1;
  if (bytes_per_s_ == 0) {
    level = 3;
  } else if (bytes_per_s_ < 100e3) {
    level = 9;
  } else if (bytes_per_s_ < 1000e3) {
    level = 6;
  }
  return std::min(level, level_max_);
}

size_t LineRate::batch_bytes(size_t most) const {
  if (bytes_per_s_ == 0) return std::min(most, unmeasured_bytes_);
  const double bytes = bytes_per_s_ * kBatchSeconds * std::max(1.0, compression_);
  if (bytes >= static_cast<double>(most)) return most;
  return std::min(most, std::max(kBatchBytesMin, static_cast<size_t>(bytes)));
}

Duration LineRate::timeout(Duration base, size_t wire_bytes) const {
  if (bytes_per_s_ == 0) return base;
  const double needed_s = 4 * static_cast<double>(wire_bytes) / bytes_per_s_;
  const double most_s = std::chrono::duration<double>(kTimeoutMax).count();
  return base + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(needed_s, most_s)));
}

}  // namespace verge::spool
