#include "cli/plant.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace verge::cli {
namespace {

constexpr double kRestartTemperature = 60;
constexpr double kReducedSeconds = 2.5;
constexpr double kFullSpeed = 1500;  // a four-pole motor at 50 Hz
constexpr double kFullPower = 7.5;

double between(Random& random, double low, double high) { return low + (high - low) * random.unit(); }

}  // namespace

Machine::Machine(size_t number, uint64_t seed)
    : name_(fmt::format("m-{:03}", number)), random_(seed * 1'000'003 + number) {
  ambient_ = between(random_, 18, 28);
  heating_ = between(random_, 58, 82);
  time_constant_ = between(random_, 12, 25);
  cycle_ = between(random_, 40, 90);
  phase_ = between(random_, 0, 1);
  mean_load_ = between(random_, 0.55, 0.8);
  wear_rate_ = between(random_, 0.002, 0.008);
  part_work_ = between(random_, 5, 9);
  wear_ = between(random_, 0, 1);
  work_ = between(random_, 0, part_work_);
  temperature_ = ambient_ + heating_ * load();
}

double Machine::load() const {
  if (!running_) return 0;
  const double rhythm = 0.25 * std::sin(2 * std::numbers::pi * (time_ / cycle_ + phase_));
  const double load = std::clamp(mean_load_ + rhythm, 0.1, 1.0);
  return reduced_for_ > 0 ? load / 2 : load;
}

unsigned Machine::step(double seconds) {
  time_ += seconds;
  reduced_for_ = std::max(0.0, reduced_for_ - seconds);
  const double now = load();
  // The exact solution for a load that is constant meanwhile.
  const double settled = ambient_ + heating_ * now;
  temperature_ = settled + (temperature_ - settled) * std::exp(-seconds / time_constant_);
  if (!running_ && temperature_ < kRestartTemperature) running_ = true;
  wear_ += wear_rate_ * now * seconds;
  if (wear_ >= 1) wear_ = 0;
  work_ += now * seconds;
  unsigned parts = 0;
  for (; work_ >= part_work_; work_ -= part_work_) ++parts;
  return parts;
}

void Machine::obey(std::string_view action) {
  if (action == "SHUTDOWN_EQUIPMENT") running_ = false;
  if (action == "REDUCE_LOAD") reduced_for_ = kReducedSeconds;
}

MachineReading Machine::reading() {
  const double now = load();
  MachineReading reading{.temperature = temperature_ + 0.15 * random_.normal(), .load = now, .running = running_};
  if (running_) {
    const double bearing = 1.1 + 2.2 * wear_ + 8 * wear_ * wear_;
    reading.vibration = std::max(0.0, bearing * (0.35 + 0.65 * now) * (1 + 0.03 * random_.normal()));
    reading.speed = kFullSpeed * (1 - 0.04 * now) + 1.5 * random_.normal();
    reading.power = kFullPower * (0.12 + 0.88 * now) + 0.02 * random_.normal();
  } else {
    reading.vibration = std::abs(0.02 * random_.normal());
  }
  return reading;
}

void append_telemetry(std::string& out, std::string_view machine, uint64_t number, const MachineReading& reading) {
  fmt::format_to(
      std::back_inserter(out),
      R"({{"machine":"{}","n":{},"temperature":{:.2f},"vibration":{:.3f},"load":{:.3f},"speed":{:.1f},"power":{:.3f},"running":{},"units":{{"temperature":"Cel","vibration":"mm/s"}}}})",
      machine, number, reading.temperature, reading.vibration, reading.load, reading.speed, reading.power,
      reading.running);
}

}  // namespace verge::cli
