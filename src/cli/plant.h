// A plant of simulated machines: plain physics from a seed, so that the same seed gives the same plant.
//
// Heat: the casing follows first order what heats it, tau dT/dt = T_ambient + R * load - T, and cools the same way
// when the machine stands still. Vibration: grows with load and with the wear of the bearing, which itself grows with
// load and time; a worn-out bearing is replaced. Load: a daily rhythm in small, a slow cycle of its own a machine.
// Times are compressed: what takes a real machine a shift takes this one a minute.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace verge::cli {

struct MachineReading {
  double temperature = 0;  // degrees Celsius
  double vibration = 0;    // mm/s, effective
  double load = 0;         // 0..1
  double speed = 0;        // revolutions a minute
  double power = 0;        // kW
  bool running = true;
};

class Machine {
 public:
  // Above these the rules of the demonstration act.
  static constexpr double kTemperatureLimit = 95;
  static constexpr double kVibrationLimit = 7.1;  // ISO 10816: damage is done above

  Machine(size_t number, uint64_t seed);

  // Lets time pass. Returns how many parts were finished.
  unsigned step(double seconds);
  // SHUTDOWN_EQUIPMENT: stands still until it has cooled. REDUCE_LOAD: half the load for a few seconds. Others:
  // nothing.
  void obey(std::string_view action);
  // What its sensors say now, noise included.
  [[nodiscard]] MachineReading reading();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] double temperature() const { return temperature_; }
  [[nodiscard]] double wear() const { return wear_; }  // 0 new, 1 to be replaced
  [[nodiscard]] double load() const;
  [[nodiscard]] bool running() const { return running_; }

 private:
  const std::string name_;
  Random random_;
  double ambient_ = 0;        // degrees Celsius around it
  double heating_ = 0;        // degrees above that at full load, in the end
  double time_constant_ = 0;  // of the casing, s
  double cycle_ = 0;          // of the load, s
  double phase_ = 0;
  double mean_load_ = 0;
  double wear_rate_ = 0;  // a second at full load
  double part_work_ = 0;  // seconds at full load a part
  double time_ = 0;
  double temperature_ = 0;
  double wear_ = 0;
  double work_ = 0;  // towards the next part
  double reduced_for_ = 0;
  bool running_ = true;
};

// {"machine":"m-007","n":12,...}: the payload of a reading; `number` counts a machine's readings.
void append_telemetry(std::string& out, std::string_view machine, uint64_t number, const MachineReading& reading);

}  // namespace verge::cli
