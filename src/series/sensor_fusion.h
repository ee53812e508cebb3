// fuse(...): one quantity measured by several sensors, each with its own range, rate and noise, as one estimate.
//
// A Kalman filter over value and rate of change (constant velocity, driven by white acceleration noise). Sensors need
// not agree in rate or arrive in order of their rates: each reading updates the estimate by what its noise says it is
// worth. A radar of 160 m and an ultrasonic sensor of 8 m, say, fuse into a distance that is the radar's far away and
// mostly the ultrasonic's near by.
//
// A reading beyond its sensor's range says that there is nothing to measure: it is not used. One that is more than five
// deviations from what the others say is not used either, until kRejectedMax of its sensor in a row disagree: then the
// filter begins anew there, since the world has changed.
//
// Meant for 100 Hz. A step that takes more than `deadline` (10 ms), or whose estimate is beyond what doubles hold, is
// answered by the fallback: the last good answer carried on, moved to the safe side by three deviations, and kept
// within what the sensors can say. Both are counted; after the second the filter begins anew. All numbers of an answer
// are finite. Not thread-safe; bounded memory, no allocation after construction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"

namespace verge::series {

struct Sensor {
  std::string name;
  double range_min = 0;
  double range_max = 0;
  double rate_hz = 0;  // how often it is to be expected; one that is three periods late counts as silent
  double noise = 0;    // standard deviation of a reading; > 0

  // Whether a filter can be made of it: the range rises, the noise and its square are positive numbers.
  [[nodiscard]] bool is_sound() const;
};

struct SensorReading {
  size_t sensor = 0;  // index in the sensors given
  double value = 0;
};

enum class SafeSide : uint8_t { kLow, kHigh };  // of a distance, low: what is taken to be nearer does no harm

struct FusionOptions {
  double acceleration = 1;  // standard deviation of the change of the rate over a second
  double tolerance = 1;     // confidence is the probability that the estimate is within this of the truth; > 0
  SafeSide safe_side = SafeSide::kLow;
  Duration deadline = std::chrono::milliseconds(10);
};

struct FusedEstimate {
  double value = 0;
  double rate = 0;        // per second
  double deviation = 0;   // standard deviation of the value
  double confidence = 0;  // 0..1; 0 until there was a reading
  Duration processing{};
  bool is_late = false;
  bool is_fallback = false;  // late, or beyond what doubles hold: value is the fallback
  size_t used = 0;           // readings of this step that counted
  size_t silent = 0;         // sensors that owe a reading
};

// What a SensorFusion of so many sensors has learnt, to be saved and gone on from.
struct FusionState {
  static constexpr uint8_t kStateVersion = 1;

  struct Track {
    int64_t heard_ns = 0;
    bool was_heard = false;
    uint64_t rejected_in_row = 0;
    template <class Self, class Archive>
    static void visit(Self& self, Archive& archive) {
      archive(self.heard_ns, self.was_heard, self.rejected_in_row);
    }
  };

  std::vector<Track> tracks;  // by sensor
  bool has_estimate = false;
  int64_t at_ns = 0;
  double value = 0;
  double rate = 0;
  double value_variance = 0;
  double covariance = 0;
  double rate_variance = 0;
  double in_time_value = 0;  // of the last answer that was in time
  double in_time_rate = 0;
  double in_time_deviation = 0;
  double in_time_confidence = 0;
  int64_t in_time_ns = 0;
  uint64_t late = 0;
  uint64_t rejected = 0;

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.tracks, self.has_estimate, self.at_ns, self.value, self.rate, self.value_variance, self.covariance,
            self.rate_variance, self.in_time_value, self.in_time_rate, self.in_time_deviation, self.in_time_confidence,
            self.in_time_ns, self.late, self.rejected);
  }
  [[nodiscard]] bool is_sound() const;
};

class SensorFusion {
 public:
  static constexpr size_t kRejectedMax = 5;
  static constexpr double kGate = 5;  // deviations

  // Sensors are sound; there is one at least. `clock` measures the processing time.
  SensorFusion(std::vector<Sensor> sensors, FusionOptions options, const Clock& clock);

  // What is to be believed at `time`, with the readings that came since the last step. A time before the last step's is
  // taken for the last step's.
  FusedEstimate step(MonotonicTime time, std::span<const SensorReading> readings);

  // Whether the sensor owes a reading at that time: its last came three periods ago or none did.
  [[nodiscard]] bool is_silent(size_t sensor, MonotonicTime time) const;

  [[nodiscard]] FusionState state() const;
  // `state` is sound, and of as many sensors.
  void restore(const FusionState& state);

  [[nodiscard]] uint64_t late() const { return late_; }
  [[nodiscard]] uint64_t rejected() const { return rejected_; }

 private:
  struct Track {
    MonotonicTime heard{};
    bool was_heard = false;
    size_t rejected_in_row = 0;
  };

  void predict(MonotonicTime time);
  bool update(const SensorReading& reading, MonotonicTime time);
  void restart(double value, double variance);
  [[nodiscard]] FusedEstimate estimate() const;
  [[nodiscard]] FusedEstimate fallback(MonotonicTime time) const;
  [[nodiscard]] bool is_finite() const;

  std::vector<Sensor> sensors_;
  FusionOptions options_;
  const Clock& clock_;
  std::vector<Track> tracks_;
  bool has_estimate_ = false;
  MonotonicTime at_{};
  double value_ = 0;
  double rate_ = 0;
  double value_variance_ = 0;
  double covariance_ = 0;
  double rate_variance_ = 0;
  FusedEstimate last_in_time_;
  MonotonicTime last_in_time_at_{};
  uint64_t late_ = 0;
  uint64_t rejected_ = 0;
};

// What a command may be: within bounds, no faster than its rate, and the safe one where the estimate is not to be
// trusted.
struct CommandBound {
  double low = 0;
  double high = 0;
  double rate_max = 0;        // per second; 0 for no limit
  double safe = 0;            // within low..high
  double confidence_min = 0;  // below it, and when the estimate is the fallback, the command is `safe`

  struct Bounded {
    double command = 0;
    bool is_changed = false;
  };
  // `previous` is the command before, `since` how long ago it was given. What is not finite becomes `safe`; the way to
  // `safe` is not slowed down.
  [[nodiscard]] Bounded bound(double command, double previous, Duration since, const FusedEstimate& estimate) const;
};

}  // namespace verge::series
