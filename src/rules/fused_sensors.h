// fuse(x, least, largest, noise, rate, …): several sensors of one quantity as one estimate (series/sensor_fusion.h), a
// JSON object with value, rate, deviation, confidence, used, silent (the sensors that owe a reading, counted from 1 as
// they are written), is_late, is_fallback and processing_us.
//
// Sensors are what the first message says of them. NULL as long as it says nothing sensible (Sensor::is_sound()), and
// for a message with another number of sensors; a reading that is no number is none. A step that took too long is
// logged, every 10 s at most, and counted for the process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/seldom_line.h"
#include "rules/state_function.h"
#include "series/sensor_fusion.h"

namespace verge::rules {

class FusedSensors final : public Remembered {
 public:
  static constexpr size_t kArguments = 5;  // a sensor

  // `clock` measures how long a step takes, and outlives this.
  explicit FusedSensors(const Clock& clock) : clock_(clock) {}

  Value next(std::span<const Value> arguments, int64_t time_us, Arena& arena) override;
  [[nodiscard]] size_t bytes() const override { return sizeof(*this) + sizeof(series::SensorFusion) + 1024; }
  void append_to(std::string& out) const override;
  bool read(ByteReader& in) override;

 private:
  bool begin(std::span<const Value> arguments);
  // False where one of them is not sound.
  bool make(std::vector<series::Sensor> sensors);
  void note_late(Duration processing);

  const Clock& clock_;
  std::vector<series::Sensor> sensors_;
  std::unique_ptr<series::SensorFusion> fusion_;
  SeldomLine late_line_{std::chrono::seconds(10)};
};

}  // namespace verge::rules
