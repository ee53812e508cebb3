// The single detectors, by hand-computed numbers and by what they are made to find.
#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "series/control_charts.h"
#include "series/half_space_trees.h"
#include "series/robust_z_score.h"
#include "series/seasonal_detector.h"
#include "series/state.h"

namespace verge::series {
namespace {

TEST(RobustZScore, IsTheTextbooksNumber) {
  RobustZScore detector;
  for (int i = 1; i <= 11; ++i) detector.add(i);
  // median 6, absolute deviations 0 1 1 2 2 3 3 4 4 5 5: median 3
  const double z = (20 - 6) / (1.4826 * 3);
  EXPECT_NEAR(detector.add(20), z / (z + 3.5), 1e-12);
}

TEST(RobustZScore, IsNotMisledByAThirdOfOutliers) {
  RobustZScore detector;
  Random random(1);
  for (int i = 0; i < 300; ++i) detector.add(i % 3 == 0 ? 1000 : random.normal());
  EXPECT_GT(detector.add(100), 0.9);
  EXPECT_LT(detector.add(0), 0.3);
}

TEST(RobustZScore, ScoresAnyOtherValueOfAConstantSeries1) {
  RobustZScore detector;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(detector.add(4), 0);
  EXPECT_EQ(detector.add(4.1), 1);
  EXPECT_EQ(detector.add(std::nan("")), 0);
}

template <class Chart>
size_t readings_until_alarm(Chart chart, double shift) {
  Random random(2);
  for (int i = 0; i < 1000; ++i) chart.add(random.normal());
  for (size_t i = 0; i < 500; ++i) {
    if (chart.add(shift + random.normal()) >= 0.5) return i;
  }
  return 500;
}

TEST(EwmaChart, FindsAShiftOfOneDeviation) { EXPECT_LT(readings_until_alarm(EwmaChart(), 1), 60U); }
TEST(Cusum, FindsAShiftOfOneDeviationEitherWay) {
  EXPECT_LT(readings_until_alarm(Cusum(), 1), 40U);
  EXPECT_LT(readings_until_alarm(Cusum(), -1), 40U);
}

TEST(Cusum, AddsUpWhatExceedsTheSlack) {
  Cusum detector;
  for (int i = 0; i < 30; ++i) detector.add(i % 2 == 0 ? 1 : -1);  // mean 0, deviation 1
  // 2 deviations above: 1.5 more than the slack
  EXPECT_NEAR(detector.add(2), 1.5 / (1.5 + 5), 1e-12);
  EXPECT_EQ(detector.add(HUGE_VAL), 0);
}

TEST(HalfSpaceTrees, ScoreWhatIsNewAboveWhatIsUsual) {
  HalfSpaceTrees trees;
  Random random(3);
  double usual = 0;
  for (int i = 0; i < 3000; ++i) {
    const double score = trees.add(std::sin(i * 0.1) + 0.05 * random.normal());
    if (i >= 2000) usual += score / 1000;
  }
  double odd = 0;
  for (int i = 0; i < 4; ++i) odd = std::max(odd, trees.add(i % 2 == 0 ? 0.9 : -0.9));
  EXPECT_GT(odd, usual + 0.2);
  EXPECT_LE(save_state(trees).size(), 64U << 10);
}

TEST(SeasonalDetector, FindsTheRightValueAtTheWrongTime) {
  SeasonalDetector detector;
  const auto hour_us = int64_t{3'600'000'000};
  Random random(4);
  const auto at = [&](int hour) { return (hour % 24 < 12 ? 10.0 : 90.0) + random.normal(); };
  for (int hour = 0; hour < 24 * 30; ++hour) detector.add(hour * hour_us, at(hour));
  EXPECT_LT(detector.add(24 * 30 * hour_us, 10), 0.5);
  EXPECT_GT(detector.add((24 * 30 + 1) * hour_us, 90), 0.8);
}

// The largest score of a shift by 15 deviations, some time after a single glitch.
template <class Detector>
double score_of_shift(Detector detector, Random& random, double glitch, uint64_t before, uint64_t after) {
  int64_t time = 0;
  const auto add = [&](double value) {
    time += 60'000'000;
    if constexpr (requires { detector.add(time, value); })
      return detector.add(time, value);
    else
      return detector.add(value);
  };
  for (uint64_t i = 0; i < before; ++i) add(20 + random.normal());
  add(glitch);
  for (uint64_t i = 0; i < after; ++i) add(20 + random.normal());
  double most = 0;
  for (int i = 0; i < 60; ++i) most = std::max(most, add(35 + random.normal()));
  return most;
}

TEST(Detectors, AreNotBlindAfterOneGlitch) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    const double size = std::pow(10, 1.5 + random.unit() * (random.chance(0.5) ? 5 : 306));
    const double glitch = random.chance(0.5) ? size : -size;
    const uint64_t before = random.below(random.chance(0.3) ? 40 : 1500);
    const uint64_t after = 700 + random.below(1000);
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << glitch << " after " << before << " readings, "
                                    << after << " before the shift");
    EXPECT_GE(score_of_shift(EwmaChart(), random, glitch, before, after), 0.5);
    EXPECT_GE(score_of_shift(Cusum(), random, glitch, before, after), 0.5);
    EXPECT_GE(score_of_shift(SeasonalDetector(), random, glitch, before, after), 0.5);
    EXPECT_GE(score_of_shift(RobustZScore(), random, glitch, before, after), 0.5);
    EXPECT_GE(score_of_shift(HalfSpaceTrees(), random, glitch, before, after), 0.75);
  }
}

// Readings until the score of a lasting new level is no alarm any more.
template <class Chart>
size_t readings_until_learnt(Chart chart, double before, double after) {
  for (int i = 0; i < 1000; ++i) chart.add(before);
  EXPECT_GE(chart.add(after), 0.5);
  double latest = 1;
  size_t count = 0;
  for (; count < 20'000 && latest >= 0.5; ++count) latest = chart.add(after);
  return count;
}

TEST(EwmaChart, LearnsALevelThatLastsEvenOfASeriesThatNeverVaried) {
  EXPECT_LT(readings_until_learnt(EwmaChart(), 0, 5), 5000U);
  EXPECT_LT(readings_until_learnt(EwmaChart(), 20, 1e6), 5000U);
}

template <class Detector>
void expect_survives(Detector first) {
  Random random(5);
  for (int i = 0; i < 700; ++i) first.add(random.normal());
  Detector second;
  ASSERT_TRUE(load_state(save_state(first), second));
  for (int i = 0; i < 300; ++i) {
    const double value = random.normal();
    ASSERT_EQ(first.add(value), second.add(value));
  }
  EXPECT_FALSE(load_state(save_state(first).substr(1), second));
}

TEST(Detectors, GoOnFromASavedState) {
  expect_survives(RobustZScore());
  expect_survives(EwmaChart());
  expect_survives(Cusum());
  expect_survives(HalfSpaceTrees());
}

}  // namespace
}  // namespace verge::series
