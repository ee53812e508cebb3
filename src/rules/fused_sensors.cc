#include "rules/fused_sensors.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "series/state.h"

namespace verge::rules {
namespace {

// Before the number of sensors where the state says their rates too; no number of sensors.
constexpr uint64_t kWithRates = 0;

// Of a message, either way of 1970: differences fit into nanoseconds.
constexpr int64_t kTimeMicrosecondsMax = 4'600'000'000'000'000;

std::atomic<uint64_t>& late_steps() {
  static std::atomic<uint64_t> steps{0};
  return steps;
}

series::Sensor sensor_of(size_t number, double least, double largest, double noise, double rate_hz) {
  return {
      .name = fmt::format("{}", number), .range_min = least, .range_max = largest, .rate_hz = rate_hz, .noise = noise};
}

}  // namespace

uint64_t late_fusions() { return late_steps().load(std::memory_order_relaxed); }

Value FusedSensors::next(std::span<const Value> arguments, int64_t time_us, Arena& arena) {
  if (arguments.size() % kArguments != 0) return {};
  if (!fusion_ && !begin(arguments)) return {};
  if (arguments.size() != kArguments * sensors_.size()) return {};
  std::vector<series::SensorReading> readings;
  for (size_t i = 0; i < sensors_.size(); ++i) {
    const Value& reading = arguments[i * kArguments];
    if (reading.is_numeric()) readings.push_back({i, reading.as_double()});
  }
  const MonotonicTime time{std::chrono::microseconds(std::clamp(time_us, -kTimeMicrosecondsMax, kTimeMicrosecondsMax))};
  const series::FusedEstimate fused = fusion_->step(time, readings);
  if (fused.is_late) note_late(fused.processing);
  std::string silent;
  for (size_t i = 0; i < sensors_.size(); ++i) {
    if (!fusion_->is_silent(i, time)) continue;
    fmt::format_to(std::back_inserter(silent), "{}{}", silent.empty() ? "" : ",", i + 1);
  }
  return Value::json(arena.keep(fmt::format(
      R"({{"value":{},"rate":{},"deviation":{},"confidence":{},"used":{},"silent":[{}],"is_late":{},"is_fallback":{},"processing_us":{}}})",
      fused.value, fused.rate, fused.deviation, fused.confidence, fused.used, silent, fused.is_late, fused.is_fallback,
      std::chrono::duration_cast<std::chrono::microseconds>(fused.processing).count())));
}

void FusedSensors::note_late(Duration processing) {
  late_steps().fetch_add(1, std::memory_order_relaxed);
  const std::optional<uint64_t> passed_over = late_line_.due(clock_.monotonic());
  if (!passed_over) return;
  log_warning("rules", "fuse() took {} ms, and was answered by its fallback; {} others since the last such line",
              std::chrono::duration_cast<std::chrono::milliseconds>(processing).count(), *passed_over);
}

bool FusedSensors::begin(std::span<const Value> arguments) {
  std::vector<series::Sensor> sensors;
  for (size_t i = 0; i < arguments.size(); i += kArguments) {
    const std::span<const Value> said = arguments.subspan(i + 1, kArguments - 1);
    if (!std::ranges::all_of(said, [](const Value& each) { return each.is_numeric(); })) return false;
    sensors.push_back(
        sensor_of(sensors.size(), said[0].as_double(), said[1].as_double(), said[2].as_double(), said[3].as_double()));
  }
  return make(std::move(sensors));
}

bool FusedSensors::make(std::vector<series::Sensor> sensors) {
  if (sensors.empty() || !std::ranges::all_of(sensors, &series::Sensor::is_sound)) return false;
  sensors_ = std::move(sensors);
  fusion_ = std::make_unique<series::SensorFusion>(sensors_, series::FusionOptions{}, clock_);
  return true;
}

void FusedSensors::append_to(std::string& out) const {
  if (!fusion_) return;
  append_varint(out, kWithRates);
  append_varint(out, sensors_.size());
  for (const series::Sensor& sensor : sensors_) {
    for (const double each : {sensor.range_min, sensor.range_max, sensor.noise, sensor.rate_hz}) {
      append_fixed(out, std::bit_cast<uint64_t>(each));
    }
  }
  append_sized(out, series::save_state(fusion_->state()));
}

bool FusedSensors::read(ByteReader& in) {
  if (in.empty()) return true;  // it has seen nothing; that of earlier versions was not kept
  uint64_t count = in.varint();
  const bool has_rates = count == kWithRates;
  if (has_rates) count = in.varint();
  if (count == 0 || count > kFusedMax) return false;
  const auto number = [&] { return std::bit_cast<double>(in.fixed<uint64_t>()); };
  std::vector<series::Sensor> sensors;
  for (uint64_t i = 0; i < count; ++i) {
    const double least = number();
    const double largest = number();
    const double noise = number();
    sensors.push_back(sensor_of(i, least, largest, noise, has_rates ? number() : 0));
  }
  const std::string_view saved = in.sized();
  if (!in.ok()) return false;
  if (!make(std::move(sensors))) return true;  // an earlier version took what cannot be: it begins anew
  series::FusionState state = fusion_->state();
  if (series::load_state(saved, state)) fusion_->restore(state);
  return true;
}

}  // namespace verge::rules
