#include "series/sensor_fusion.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/assert.h"

namespace verge::series {
namespace {

// A rate about which nothing is known, in deviations of a second's change.
constexpr double kRateDoubt = 1e3;
constexpr double kPeriodsSilent = 3;
constexpr double kSafeDeviations = 3;
constexpr double kNoiseMin = 1e-100;  // its square, and that of its inverse, are doubles

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

SensorFusion::SensorFusion(std::vector<Sensor> sensors, FusionOptions options, const Clock& clock)
    : sensors_(std::move(sensors)), options_(options), clock_(clock), tracks_(sensors_.size()) {
  VERGE_ASSERT(options_.tolerance > 0 && !sensors_.empty());
  for (const Sensor& sensor : sensors_) VERGE_ASSERT(sensor.is_sound());
}

bool Sensor::is_sound() const {
  return std::isfinite(range_min) && std::isfinite(range_max) && range_min < range_max && noise >= kNoiseMin &&
         noise <= 1 / kNoiseMin && std::isfinite(rate_hz) && rate_hz >= 0;
}

FusedEstimate SensorFusion::step(MonotonicTime time, std::span<const SensorReading> readings) {
  const MonotonicTime began = clock_.monotonic();
  predict(time);
  size_t used = 0;
  for (const SensorReading& reading : readings) used += update(reading, time) ? 1 : 0;
  FusedEstimate fused = estimate();
  const Duration processing = clock_.monotonic() - began;
  const bool is_late = processing > options_.deadline;
  const bool is_beyond = !is_finite();  // what doubles hold
  if (is_late) ++late_;
  if (is_late || is_beyond) {
    fused = fallback(time);
    fused.is_late = is_late;
    fused.is_fallback = true;
    if (is_beyond) {
      fused.confidence = 0;
      restart(0, 0);
      has_estimate_ = false;
    }
  } else if (has_estimate_) {
    last_in_time_ = fused;
    last_in_time_at_ = time;
  }
  fused.processing = processing;
  fused.used = used;
  for (size_t i = 0; i < sensors_.size(); ++i) fused.silent += is_silent(i, time) ? 1 : 0;
  return fused;
}

// x' = x + v t; the noise is white in the acceleration (Bar-Shalom, Li, Kirubarajan 2001, 6.2.2).
void SensorFusion::predict(MonotonicTime time) {
  if (!has_estimate_ || time <= at_) return;
  const double t = seconds(time - at_);
  const double power = options_.acceleration * options_.acceleration;
  at_ = time;
  value_ += rate_ * t;
  value_variance_ += 2 * t * covariance_ + t * t * rate_variance_ + power * t * t * t / 3;
  covariance_ += t * rate_variance_ + power * t * t / 2;
  rate_variance_ += power * t;
}

bool SensorFusion::update(const SensorReading& reading, MonotonicTime time) {
  VERGE_ASSERT(reading.sensor < sensors_.size());
  const Sensor& sensor = sensors_[reading.sensor];
  Track& track = tracks_[reading.sensor];
  track.heard = time;
  track.was_heard = true;
  if (!(reading.value >= sensor.range_min && reading.value <= sensor.range_max)) return false;
  const double noise = sensor.noise * sensor.noise;
  if (!has_estimate_) {
    at_ = time;
    restart(reading.value, noise);
    return true;
  }
  const double surprise = reading.value - value_;
  const double variance = value_variance_ + noise;
  if (surprise * surprise > kGate * kGate * variance) {
    ++rejected_;
    if (++track.rejected_in_row < kRejectedMax) return false;
    restart(reading.value, noise);
    track.rejected_in_row = 0;
    return true;
  }
  track.rejected_in_row = 0;
  const double value_gain = value_variance_ / variance;
  const double rate_gain = covariance_ / variance;
  value_ += value_gain * surprise;
  rate_ += rate_gain * surprise;
  rate_variance_ -= rate_gain * covariance_;
  covariance_ *= 1 - value_gain;
  value_variance_ *= 1 - value_gain;
  return true;
}

void SensorFusion::restart(double value, double variance) {
  has_estimate_ = true;
  value_ = value;
  rate_ = 0;
  value_variance_ = variance;
  covariance_ = 0;
  rate_variance_ = std::pow(kRateDoubt * std::max(options_.acceleration, 1e-3), 2);
}

FusedEstimate SensorFusion::estimate() const {
  FusedEstimate fused;
  if (!has_estimate_) return fused;
  fused.value = value_;
  fused.rate = rate_;
  fused.deviation = std::sqrt(std::max(value_variance_, 0.0));
  fused.confidence = fused.deviation > 0 ? std::erf(options_.tolerance / (fused.deviation * std::numbers::sqrt2)) : 1;
  return fused;
}

// The last answer that was in time, carried on and moved to the safe side by three of the deviations it has by now, as
// far as a sensor can say. What came too late for this answer stays in the filter for the next.
FusedEstimate SensorFusion::fallback(MonotonicTime time) const {
  const double low = std::ranges::min_element(sensors_, {}, &Sensor::range_min)->range_min;
  const double high = std::ranges::max_element(sensors_, {}, &Sensor::range_max)->range_max;
  const bool is_low = options_.safe_side == SafeSide::kLow;
  FusedEstimate fused = last_in_time_;
  if (fused.confidence <= 0 && fused.deviation <= 0) {  // there was none
    fused.value = is_low ? low : high;
    fused.deviation = high / 2 - low / 2;
    return fused;
  }
  const double t = std::max(0.0, seconds(time - last_in_time_at_));
  fused.deviation = std::min(fused.deviation + options_.acceleration * t * (1 + t), high / 2 - low / 2);
  const double moved = kSafeDeviations * fused.deviation;
  const double carried = fused.value + fused.rate * t;
  fused.value =
      std::clamp(is_low ? std::min(fused.value, carried) - moved : std::max(fused.value, carried) + moved, low, high);
  fused.confidence /= 2;
  return fused;
}

bool SensorFusion::is_finite() const {
  for (const double each : {value_, rate_, value_variance_, covariance_, rate_variance_}) {
    if (!std::isfinite(each)) return false;
  }
  return true;
}

bool SensorFusion::is_silent(size_t sensor, MonotonicTime time) const {
  if (sensors_[sensor].rate_hz <= 0) return false;
  const double allowed = kPeriodsSilent / sensors_[sensor].rate_hz;
  return !tracks_[sensor].was_heard || seconds(time - tracks_[sensor].heard) > allowed;
}

bool FusionState::is_sound() const {
  for (const double each : {value, rate, value_variance, covariance, rate_variance, in_time_value, in_time_rate,
                            in_time_deviation, in_time_confidence}) {
    if (!std::isfinite(each)) return false;
  }
  return value_variance >= 0 && rate_variance >= 0;
}

FusionState SensorFusion::state() const {
  const auto nanoseconds = [](MonotonicTime time) { return static_cast<int64_t>(time.time_since_epoch().count()); };
  FusionState state{.tracks = {},
                    .has_estimate = has_estimate_,
                    .at_ns = nanoseconds(at_),
                    .value = value_,
                    .rate = rate_,
                    .value_variance = std::max(value_variance_, 0.0),
                    .covariance = covariance_,
                    .rate_variance = std::max(rate_variance_, 0.0),
                    .in_time_value = last_in_time_.value,
                    .in_time_rate = last_in_time_.rate,
                    .in_time_deviation = last_in_time_.deviation,
                    .in_time_confidence = last_in_time_.confidence,
                    .in_time_ns = nanoseconds(last_in_time_at_),
                    .late = late_,
                    .rejected = rejected_};
  for (const Track& track : tracks_) {
    state.tracks.push_back(
        {.heard_ns = nanoseconds(track.heard), .was_heard = track.was_heard, .rejected_in_row = track.rejected_in_row});
  }
  return state;
}

void SensorFusion::restore(const FusionState& state) {
  VERGE_ASSERT(state.tracks.size() == tracks_.size());
  const auto time = [](int64_t nanoseconds) { return MonotonicTime(std::chrono::nanoseconds(nanoseconds)); };
  for (size_t i = 0; i < tracks_.size(); ++i) {
    tracks_[i] = {.heard = time(state.tracks[i].heard_ns),
                  .was_heard = state.tracks[i].was_heard,
                  .rejected_in_row = state.tracks[i].rejected_in_row};
  }
  has_estimate_ = state.has_estimate;
  at_ = time(state.at_ns);
  value_ = state.value;
  rate_ = state.rate;
  value_variance_ = state.value_variance;
  covariance_ = state.covariance;
  rate_variance_ = state.rate_variance;
  last_in_time_ = {.value = state.in_time_value,
                   .rate = state.in_time_rate,
                   .deviation = state.in_time_deviation,
                   .confidence = state.in_time_confidence};
  last_in_time_at_ = time(state.in_time_ns);
  late_ = state.late;
  rejected_ = state.rejected;
}

CommandBound::Bounded CommandBound::bound(double command, double previous, Duration since,
                                          const FusedEstimate& estimate) const {
  if (!std::isfinite(command) || estimate.is_late || estimate.is_fallback || estimate.confidence < confidence_min) {
    return {safe, command != safe};
  }
  double bounded = std::clamp(command, low, high);
  if (rate_max > 0 && std::isfinite(previous)) {
    const double step = rate_max * std::max(0.0, seconds(since));
    bounded = std::clamp(std::clamp(bounded, previous - step, previous + step), low, high);
  }
  return {bounded, bounded != command};
}

}  // namespace verge::series
