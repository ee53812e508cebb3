#include "series/anomaly.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "series/joint_anomaly.h"
#include "series/state.h"

namespace verge::series {
namespace {

constexpr int64_t kStep = 300'000'000;  // five minutes
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A daily wave with a little noise.
std::vector<double> daily(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = 50 + 20 * std::sin(static_cast<double>(i) / 288 * 6.283) + random.normal();
  return values;
}

std::vector<double> scores(const std::vector<double>& values) {
  AnomalyDetector detector;
  std::vector<double> out;
  for (size_t i = 0; i < values.size(); ++i) out.push_back(detector.add(static_cast<int64_t>(i) * kStep, values[i]));
  return out;
}

double largest(const std::vector<double>& scores, size_t from, size_t to) {
  double most = 0;
  for (size_t i = from; i < to; ++i) most = std::max(most, scores[i]);
  return most;
}

TEST(Anomaly, FindsWhatIsOddAndIsQuietOtherwise) {
  struct Case {
    const char* name;
    void (*change)(std::vector<double>&);
  };
  const Case cases[] = {
      {"spike", [](std::vector<double>& v) { v[3000] += 60; }},
      {"level",
       [](std::vector<double>& v) {
         for (size_t i = 3000; i < 3100; ++i) v[i] += 40;
       }},
      {"flat line",
       [](std::vector<double>& v) {
         for (size_t i = 3000; i < 3100; ++i) v[i] = v[2999];
       }},
      {"a day without its wave",
       [](std::vector<double>& v) {
         for (size_t i = 2950; i < 3100; ++i) v[i] = 50;
       }},
  };
  for (const Case& odd : cases) {
    std::vector<double> values = daily(3500, 7);
    odd.change(values);
    const std::vector<double> out = scores(values);
    EXPECT_GE(largest(out, 2950, 3100), kAlert) << odd.name;
    size_t false_alarms = 0;
    for (size_t i = 600; i < 2950; ++i) false_alarms += out[i] >= kAlert ? 1 : 0;
    EXPECT_LE(false_alarms, 5U) << odd.name;
  }
}

TEST(Anomaly, AScoreDependsOnEarlierReadingsOnly) {
  std::vector<double> values = daily(1500, 3);
  const std::vector<double> whole = scores(values);
  for (size_t i = 1000; i < values.size(); ++i) values[i] = -1e6;
  const std::vector<double> other = scores(values);
  for (size_t i = 0; i < 1000; ++i) ASSERT_EQ(whole[i], other[i]) << i;
  EXPECT_NE(whole[1000], other[1000]);
}

TEST(Anomaly, IsTheSameForShiftedAndScaledSeries) {
  std::vector<double> values = daily(1200, 5);
  const std::vector<double> plain = scores(values);
  for (double& value : values) value = value * 1024 + 4096;
  const std::vector<double> scaled = scores(values);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(plain[i], scaled[i], 0.02) << i;
}

TEST(Anomaly, ScoresLieBetween0And1ForAnyNumbers) {
  Random random(11);
  AnomalyDetector detector;
  const double odd[] = {0, -0.0, 1e308, -1e308, 5e-324, kNaN, HUGE_VAL, -HUGE_VAL, 1e15, 1};
  for (int i = 0; i < 5000; ++i) {
    const double score = detector.add(static_cast<int64_t>(random.next()), odd[random.below(std::size(odd))]);
    ASSERT_TRUE(score >= 0 && score <= 1) << i << ": " << score;
  }
}

// What a sensor says when its bus fails, and what a counter says when it wraps: once, of any size, at any time.
double glitch(Random& random) {
  const double size =
      std::pow(10.0, 1.5 + 3 * random.unit()) * std::pow(10.0, random.chance(0.5) ? 0 : 290 * random.unit());
  return random.chance(0.5) ? size : -size;
}

TEST(Anomaly, NoSingleGlitchHidesWhatComesLater) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    AnomalyDetector detector;
    int64_t time = 1'700'000'000'000'000;
    const int64_t step = random.chance(0.5) ? kStep : kStep / 5;
    const auto add = [&](double value) { return detector.add(time += step, value); };
    const uint64_t before = random.chance(0.3) ? random.below(40) : 30 + random.below(2500);
    for (uint64_t i = 0; i < before; ++i) add(20 + random.normal());
    const double odd = glitch(random);
    add(odd);
    const uint64_t after = 400 + random.below(2000);
    for (uint64_t i = 0; i < after; ++i) add(20 + random.normal());
    const double shift = random.chance(0.5) ? 15 : -15;
    double most = 0;
    for (int i = 0; i < 60; ++i) most = std::max(most, add(20 + shift + random.normal()));
    EXPECT_GE(most, kAlert) << "seed " << seed << ": " << odd << " after " << before << " readings, " << after
                            << " before the shift";
  }
}

TEST(Anomaly, AGlitchItselfIsTold) {
  for (const double odd : {1e3, -9999.0, 65535.0, 1e9, 1e308}) {
    Random random(23);
    AnomalyDetector detector;
    for (int i = 0; i < 400; ++i) detector.add(i * kStep, 20 + random.normal());
    EXPECT_GE(detector.add(400 * kStep, odd), 0.9) << odd;
  }
}

TEST(Anomaly, AMissingReadingLeavesNoTrace) {
  const std::vector<double> values = daily(800, 9);
  AnomalyDetector with_holes;
  const std::vector<double> plain = scores(values);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(with_holes.add(static_cast<int64_t>(i) * kStep, kNaN), 0);
    ASSERT_EQ(with_holes.add(static_cast<int64_t>(i) * kStep, values[i]), plain[i]);
  }
}

TEST(Anomaly, GoesOnFromASavedState) {
  const std::vector<double> values = daily(1500, 13);
  const std::vector<double> whole = scores(values);
  AnomalyDetector first;
  for (size_t i = 0; i < 700; ++i) first.add(static_cast<int64_t>(i) * kStep, values[i]);
  const std::string saved = save_state(first);
  EXPECT_LE(saved.size(), 64U << 10);
  EXPECT_LE(AnomalyDetector::state_bytes(), 64U << 10);
  AnomalyDetector second;
  ASSERT_TRUE(load_state(saved, second));
  for (size_t i = 700; i < values.size(); ++i)
    ASSERT_EQ(second.add(static_cast<int64_t>(i) * kStep, values[i]), whole[i]);
}

TEST(Anomaly, RefusesADamagedState) {
  AnomalyDetector detector;
  for (int i = 0; i < 500; ++i) detector.add(i * kStep, i % 7);
  const std::string saved = save_state(detector);
  AnomalyDetector other;
  EXPECT_FALSE(load_state(saved.substr(0, saved.size() - 1), other));
  EXPECT_FALSE(load_state(saved + "x", other));
  EXPECT_FALSE(load_state("", other));
  std::string later = saved;
  later[0] = static_cast<char>(AnomalyDetector::kStateVersion + 1);
  EXPECT_EQ(load_state(later, other).error().code, "series.state-version");
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::string damaged = saved;
    damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    AnomalyDetector loaded;
    if (!load_state(damaged, loaded)) continue;
    for (int i = 0; i < 20; ++i) loaded.add(i * kStep, i);  // may say nonsense, but within its bounds
  }
}

TEST(JointAnomaly, FindsABrokenRelationThatNoColumnShows) {
  Random random(17);
  JointAnomalyDetector joint(2);
  AnomalyDetector first;
  AnomalyDetector second;
  double most_before = 0;
  double joint_then = 0;
  double single_then = 0;
  for (size_t i = 0; i < 3000; ++i) {
    const double load = 50 + 20 * random.normal();
    const bool is_broken = i == 2500;
    const double row[2] = {is_broken ? 80 : load, (is_broken ? 20 : load) + 0.1 * random.normal()};
    const auto time = static_cast<int64_t>(i) * kStep;
    const double score = joint.add(time, row);
    const double single = std::max(first.add(time, row[0]), second.add(time, row[1]));
    if (i == 2500) joint_then = score, single_then = single;
    if (i > 1500 && i < 2500) most_before += score >= 0.9 ? 1 : 0;
  }
  EXPECT_GE(joint_then, 0.9);
  EXPECT_LT(single_then, kAlert);
  EXPECT_EQ(most_before, 0);
}

TEST(JointAnomaly, AGlitchHidesNoBrokenRelation) {
  for (const double odd : {-9999.0, 1e9, 1e308}) {
    Random random(29);
    JointAnomalyDetector joint(2);
    double then = 0;
    for (int i = 0; i < 3000; ++i) {
      const double load = 50 + 20 * random.normal();
      const bool is_broken = i >= 2500 && i < 2510;
      const double row[2] = {i == 500 ? odd : is_broken ? 80 : load, (is_broken ? 20 : load) + 0.1 * random.normal()};
      const double score = joint.add(i * kStep, row);
      if (is_broken) then = std::max(then, score);
    }
    EXPECT_GE(then, 0.4) << odd;
  }
}

TEST(JointAnomaly, TakesRowsWithMissingValuesAndGoesOnFromASavedState) {
  Random random(19);
  JointAnomalyDetector detector(3);
  JointAnomalyDetector other(3);
  for (int i = 0; i < 600; ++i) {
    const double value = random.normal();
    const double row[3] = {value, random.chance(0.1) ? kNaN : 2 * value, 7};
    if (i == 300) ASSERT_TRUE(load_state(save_state(detector), other));
    const double score = detector.add(i * kStep, row);
    ASSERT_TRUE(score >= 0 && score <= 1);
    if (i >= 300) ASSERT_EQ(other.add(i * kStep, row), score);
  }
  const double nothing[3] = {kNaN, kNaN, kNaN};
  EXPECT_EQ(detector.add(0, nothing), 0);
  JointAnomalyDetector of_other_size(2);
  EXPECT_FALSE(load_state(save_state(detector), of_other_size));
}

}  // namespace
}  // namespace verge::series
