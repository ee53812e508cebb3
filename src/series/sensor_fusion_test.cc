#include "series/sensor_fusion.h"

#include <cmath>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "series/state.h"

namespace verge::series {
namespace {

using std::chrono::milliseconds;

const Sensor kRadar{.name = "radar", .range_min = 0.5, .range_max = 160, .rate_hz = 20, .noise = 0.5};
const Sensor kUltrasonic{.name = "ultrasonic", .range_min = 0.02, .range_max = 8, .rate_hz = 50, .noise = 0.02};

MonotonicTime at(int64_t ms) { return MonotonicTime(milliseconds(ms)); }

// Advances at every look, so that a step takes as long as it is told.
class SlowClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return MonotonicTime(now_ += step); }
  [[nodiscard]] WallTime wall() const override { return {}; }
  Duration step{};

 private:
  mutable Duration now_{};
};

// Oracle: the weighted least-squares line through all readings, at the time of the last.
struct Line {
  double value = 0;
  double variance = 0;
};
Line least_squares(const std::vector<double>& t, const std::vector<double>& x, const std::vector<double>& noise) {
  double w = 0, wt = 0, wtt = 0, wx = 0, wtx = 0;
  for (size_t i = 0; i < t.size(); ++i) {
    const double weight = 1 / (noise[i] * noise[i]);
    const double back = t[i] - t.back();
    w += weight;
    wt += weight * back;
    wtt += weight * back * back;
    wx += weight * x[i];
    wtx += weight * back * x[i];
  }
  const double determinant = w * wtt - wt * wt;
  return {(wtt * wx - wt * wtx) / determinant, wtt / determinant};
}

TEST(SensorFusion, GoesOnFromItsState) {
  Random random(7);
  const ManualClock clock;
  SensorFusion whole({kRadar, kUltrasonic}, {}, clock);
  SensorFusion first({kRadar, kUltrasonic}, {}, clock);
  const auto step = [&](SensorFusion& fusion, int64_t ms, double value) {
    const std::vector<SensorReading> readings = {{0, value}};
    return fusion.step(at(ms), readings);
  };
  double value = 20;
  for (int64_t ms = 0; ms < 1000; ms += 50) {
    value += random.normal();
    step(whole, ms, value);
    step(first, ms, value);
  }
  const std::string saved = save_state(first.state());
  SensorFusion second({kRadar, kUltrasonic}, {}, clock);
  FusionState state = second.state();
  ASSERT_TRUE(load_state(saved, state).has_value());
  second.restore(state);
  for (int64_t ms = 1000; ms < 2000; ms += 50) {
    value += random.normal();
    const FusedEstimate expected = step(whole, ms, value);
    const FusedEstimate found = step(second, ms, value);
    EXPECT_EQ(found.value, expected.value);
    EXPECT_EQ(found.rate, expected.rate);
    EXPECT_EQ(found.confidence, expected.confidence);
  }
  EXPECT_EQ(second.rejected(), whole.rejected());
  FusionState other = SensorFusion({kRadar}, {}, clock).state();
  EXPECT_FALSE(load_state(saved, other).has_value()) << "of another number of sensors";
  for (size_t end = 0; end < saved.size(); ++end) EXPECT_FALSE(load_state(saved.substr(0, end), state).has_value());
}

TEST(SensorFusion, WithoutAccelerationIsTheLeastSquaresLineThroughAllReadings) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    const ManualClock clock;
    SensorFusion fusion({kRadar, kUltrasonic}, {.acceleration = 0}, clock);
    std::vector<double> t, x, noise;
    FusedEstimate fused;
    for (int64_t ms = 0; ms <= 2000; ms += 10) {
      const double truth = 2 + 0.001 * static_cast<double>(ms);
      std::vector<SensorReading> readings;
      for (const size_t sensor : {0U, 1U}) {
        if (ms % (sensor == 0 ? 50 : 20) != 0) continue;
        const double deviation = sensor == 0 ? kRadar.noise : kUltrasonic.noise;
        readings.push_back({sensor, truth + deviation * std::clamp(random.normal(), -2.0, 2.0)});
        t.push_back(static_cast<double>(ms) / 1000);
        x.push_back(readings.back().value);
        noise.push_back(deviation);
      }
      fused = fusion.step(at(ms), readings);
    }
    const Line line = least_squares(t, x, noise);
    // The filter begins with a rate of 0 with a deviation of 1 a second (1e3 times the least acceleration): it hardly
    // counts.
    EXPECT_NEAR(fused.value, line.value, 1e-3) << "seed " << seed;
    EXPECT_NEAR(fused.deviation, std::sqrt(line.variance), 1e-4) << "seed " << seed;
    EXPECT_EQ(fusion.rejected(), 0U);
  }
}

TEST(SensorFusion, TwoReadingsAtOnceAreTheWeightedMean) {
  const ManualClock clock;
  SensorFusion fusion({kRadar, kUltrasonic}, {}, clock);
  const SensorReading readings[] = {{0, 5.3}, {1, 5.0}};
  const FusedEstimate fused = fusion.step(at(0), readings);
  const double radar = 1 / (0.5 * 0.5);
  const double ultrasonic = 1 / (0.02 * 0.02);
  EXPECT_NEAR(fused.value, (5.3 * radar + 5.0 * ultrasonic) / (radar + ultrasonic), 1e-12);
  EXPECT_NEAR(fused.deviation, std::sqrt(1 / (radar + ultrasonic)), 1e-12);
  EXPECT_NEAR(fused.confidence, 1, 1e-6);
  EXPECT_EQ(fused.used, 2U);
}

TEST(SensorFusion, FollowsAnApproachBetterThanEitherSensor) {
  Random random(3);
  const ManualClock clock;
  SensorFusion fusion({kRadar, kUltrasonic}, {.acceleration = 1}, clock);
  double squares = 0;
  double squares_near = 0;
  size_t steps = 0;
  size_t steps_near = 0;
  for (int64_t ms = 0; ms < 10'000; ms += 10) {
    const double truth = 100 - 0.0095 * static_cast<double>(ms);
    std::vector<SensorReading> readings;
    if (ms % 50 == 0) readings.push_back({0, truth + kRadar.noise * random.normal()});
    // Beyond its 8 m the ultrasonic sensor says more than it can know.
    if (ms % 20 == 0) readings.push_back({1, truth > 8 ? 8.5 : truth + kUltrasonic.noise * random.normal()});
    const FusedEstimate fused = fusion.step(at(ms), readings);
    if (ms < 1000) continue;
    const double error = fused.value - truth;
    squares += error * error;
    ++steps;
    if (truth < 7.5) squares_near += error * error, ++steps_near;
  }
  EXPECT_LT(std::sqrt(squares / static_cast<double>(steps)), kRadar.noise);
  EXPECT_LT(std::sqrt(squares_near / static_cast<double>(steps_near)), 2 * kUltrasonic.noise);
}

TEST(SensorFusion, IgnoresAnOutlierAndFollowsAChangedWorld) {
  const ManualClock clock;
  SensorFusion fusion({kRadar}, {.acceleration = 0.1}, clock);
  int64_t ms = 0;
  const auto step = [&](double value) {
    const SensorReading reading[] = {{0, value}};
    return fusion.step(at(ms += 50), reading);
  };
  for (int i = 0; i < 100; ++i) step(50);
  EXPECT_NEAR(step(120).value, 50, 0.5);
  EXPECT_EQ(fusion.rejected(), 1U);
  for (size_t i = 1; i < SensorFusion::kRejectedMax; ++i) step(120);
  EXPECT_NEAR(step(120).value, 120, 0.5);
}

TEST(SensorFusion, KnowsLessTheLongerNothingIsHeard) {
  const ManualClock clock;
  SensorFusion fusion({kRadar, kUltrasonic}, {}, clock);
  EXPECT_EQ(fusion.step(at(0), {}).confidence, 0);
  const SensorReading reading[] = {{1, 5}};
  for (int64_t ms = 0; ms <= 1000; ms += 20) fusion.step(at(ms), reading);
  const FusedEstimate soon = fusion.step(at(1040), {});
  const FusedEstimate later = fusion.step(at(5000), {});
  EXPECT_LT(later.confidence, soon.confidence);
  EXPECT_EQ(soon.silent, 1U);  // the radar never spoke
  EXPECT_EQ(later.silent, 2U);
}

TEST(SensorFusion, ALateStepIsAnsweredOnTheSafeSideAndCounted) {
  SlowClock clock;
  SensorFusion fusion({kRadar}, {}, clock);
  const SensorReading reading[] = {{0, 50}};
  FusedEstimate in_time;
  for (int64_t ms = 0; ms < 2000; ms += 50) in_time = fusion.step(at(ms), reading);
  EXPECT_FALSE(in_time.is_late);
  clock.step = milliseconds(11);
  const SensorReading farther[] = {{0, 51}};
  const FusedEstimate late = fusion.step(at(2000), farther);
  EXPECT_TRUE(late.is_late);
  EXPECT_EQ(late.processing, milliseconds(11));
  EXPECT_LT(late.value, in_time.value);
  EXPECT_LT(late.confidence, in_time.confidence);
  EXPECT_EQ(fusion.late(), 1U);
}

bool is_finite(const FusedEstimate& fused) {
  return std::isfinite(fused.value) && std::isfinite(fused.rate) && std::isfinite(fused.deviation) &&
         fused.confidence >= 0 && fused.confidence <= 1;
}

TEST(SensorFusion, AnswersWithNumbersWhateverItIsTold) {
  const double odd[] = {0, 5, 6, 1e300, -1e300, 1e308, -1e308, 1.7e308, -1.7e308, 5e-324};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const auto one_of = [&](std::span<const double> values) { return values[random.below(values.size())]; };
    const double noises[] = {1e-100, 1e-9, 1, 1e80, 1e100};
    std::vector<Sensor> sensors;
    for (uint64_t i = 0; i <= random.below(3); ++i) {
      sensors.push_back(
          {.name = "", .range_min = -1.7e308, .range_max = 1.7e308, .rate_hz = 1, .noise = one_of(noises)});
    }
    const ManualClock clock;
    SensorFusion fusion(sensors, {.safe_side = random.chance(0.5) ? SafeSide::kLow : SafeSide::kHigh}, clock);
    int64_t ms = 0;
    for (int i = 0; i < 60; ++i) {
      ms += static_cast<int64_t>(random.below(random.chance(0.1) ? 1'000'000'000 : 1000));
      std::vector<SensorReading> readings;
      for (size_t sensor = 0; sensor < sensors.size(); ++sensor) readings.push_back({sensor, one_of(odd)});
      const FusedEstimate fused = fusion.step(at(ms), readings);
      ASSERT_TRUE(is_finite(fused)) << "seed " << seed << " step " << i;
      if (fused.is_fallback) EXPECT_EQ(fused.confidence, 0) << "seed " << seed;
      ASSERT_TRUE(fusion.state().is_sound()) << "seed " << seed << " step " << i;
    }
  }
}

TEST(SensorFusion, AFallbackStaysWithinWhatSensorsCanSay) {
  SlowClock clock;
  clock.step = milliseconds(11);
  SensorFusion never({kRadar, kUltrasonic}, {}, clock);
  const FusedEstimate first = never.step(at(1'700'000'000'000), {});
  EXPECT_TRUE(first.is_fallback);
  EXPECT_EQ(first.value, kUltrasonic.range_min);
  EXPECT_EQ(first.confidence, 0);
  clock.step = milliseconds(0);
  SensorFusion fusion({kRadar}, {}, clock);
  const SensorReading reading[] = {{0, 50}};
  fusion.step(at(0), reading);
  clock.step = milliseconds(11);
  EXPECT_EQ(fusion.step(at(3'600'000), {}).value, kRadar.range_min);
}

TEST(Sensor, WhatCannotBeIsNotSound) {
  EXPECT_TRUE(kRadar.is_sound());
  EXPECT_FALSE((Sensor{.name = "", .range_min = 8, .range_max = 0, .rate_hz = 0, .noise = 1}.is_sound()));
  EXPECT_FALSE((Sensor{.name = "", .range_min = 0, .range_max = 8, .rate_hz = 0, .noise = -1}.is_sound()));
  EXPECT_FALSE((Sensor{.name = "", .range_min = 0, .range_max = 8, .rate_hz = 0, .noise = 1e200}.is_sound()));
  EXPECT_FALSE((Sensor{.name = "", .range_min = 0, .range_max = 8, .rate_hz = -1, .noise = 1}.is_sound()));
}

TEST(CommandBound, KeepsCommandsWithinRangeRateAndTrust) {
  const CommandBound bound{.low = -1, .high = 1, .rate_max = 2, .safe = -1, .confidence_min = 0.5};
  FusedEstimate sure;
  sure.confidence = 0.9;
  EXPECT_EQ(bound.bound(0.5, 0.4, milliseconds(100), sure).command, 0.5);
  EXPECT_FALSE(bound.bound(0.5, 0.4, milliseconds(100), sure).is_changed);
  EXPECT_EQ(bound.bound(7, 1, milliseconds(100), sure).command, 1);
  EXPECT_NEAR(bound.bound(1, 0, milliseconds(100), sure).command, 0.2, 1e-12);
  EXPECT_EQ(bound.bound(std::nan(""), 0, milliseconds(100), sure).command, -1);
  FusedEstimate unsure = sure;
  unsure.confidence = 0.4;
  EXPECT_EQ(bound.bound(0.5, 0.4, milliseconds(100), unsure).command, -1);
  FusedEstimate late = sure;
  late.is_late = true;
  EXPECT_TRUE(bound.bound(0.5, 0.4, milliseconds(100), late).is_changed);
}

}  // namespace
}  // namespace verge::series
