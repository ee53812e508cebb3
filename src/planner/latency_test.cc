#include "planner/latency.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::planner {
namespace {

TEST(Latency, PartsByHand) {
  EXPECT_DOUBLE_EQ(transmission_ms(125'000, 10), 100);  // a megabit over 10 Mbit/s
  EXPECT_DOUBLE_EQ(compute_ms(30, 4), 7.5);
  EXPECT_DOUBLE_EQ(queueing_ms(90, 100), 100);  // 1/(100-90) s
  EXPECT_DOUBLE_EQ(confidence(0), 0.95);
  EXPECT_DOUBLE_EQ(confidence(0.5), 0.9);
  EXPECT_DOUBLE_EQ(confidence(1), 0.85);
}

TEST(Latency, WhatIsSaturatedIsInfiniteAndNeverNegative) {
  EXPECT_TRUE(std::isinf(queueing_ms(100, 100)));
  EXPECT_GT(queueing_ms(150, 100), 0);
  EXPECT_TRUE(std::isinf(queueing_ms(150, 100)));
  const LatencyPrediction prediction = predict_latency({.distance_km = 100, .arrival_rate = 7, .service_rate = 5});
  EXPECT_TRUE(prediction.is_saturated);
  EXPECT_TRUE(std::isinf(prediction.total_ms));
  EXPECT_DOUBLE_EQ(prediction.confidence, 0.85);
}

TEST(Latency, QueueingRisesWithLoad) {
  double before = 0;
  for (double arrivals = 0; arrivals < 100; arrivals += 0.5) {
    const double wait = queueing_ms(arrivals, 100);
    EXPECT_GT(wait, before);
    before = wait;
  }
}

TEST(Latency, ARoundTripIsTwiceTheFloorTimesTheFactorAndAccess) {
  const LatencyPrediction prediction = predict_latency({.distance_km = 1000,
                                                        .factor = 1.5,
                                                        .access_ms = 2,
                                                        .bytes = 125'000,
                                                        .megabits_per_second = 100,
                                                        .complexity = 10,
                                                        .power = 5});
  EXPECT_NEAR(prediction.propagation_ms, 2 * 5.003461 * 1.5, 1e-4);
  EXPECT_NEAR(prediction.total_ms, 15.010383 + 2 + 10 + 2, 1e-4);
  EXPECT_LT(prediction.p10_ms, prediction.total_ms);
  EXPECT_GT(prediction.p90_ms, prediction.total_ms);
}

TEST(Latency, MeasurementsReplaceTheModel) {
  const LatencyPrediction prediction =
      predict_latency({.distance_km = 1000, .factor = 3, .access_ms = 5, .measured_ms = 12});
  EXPECT_TRUE(prediction.is_measured);
  EXPECT_DOUBLE_EQ(prediction.propagation_ms, 12);
  EXPECT_DOUBLE_EQ(prediction.access_ms, 0);
}

TEST(Latency, AtTheBreakEvenDistanceBothAreAsFast) {
  const LatencyQuery cloud{.distance_km = 4000, .factor = 1.4, .complexity = 40, .power = 10};
  LatencyQuery edge = cloud;
  edge.distance_km = 400;
  edge.power = 2;
  const EdgeAgainstCloud both = compare_edge(edge, cloud);
  ASSERT_TRUE(both.break_even_km.has_value());
  edge.distance_km = both.break_even_km.value_or(0);
  EXPECT_NEAR(compare_edge(edge, cloud).advantage_ms.value_or(kInfinite), 0, 1e-9);
  edge.power = 0.1;  // 400 ms of computing lose everywhere
  EXPECT_FALSE(compare_edge(edge, cloud).break_even_km.has_value());
}

TEST(Latency, OfTwoThatNeverAnswerNeitherIsFaster) {
  const LatencyQuery answers{.distance_km = 100};
  const LatencyQuery saturated{.distance_km = 100, .arrival_rate = 5, .service_rate = 5};
  EXPECT_FALSE(compare_edge(saturated, saturated).advantage_ms.has_value());
  EXPECT_FALSE(compare_edge(saturated, saturated).break_even_km.has_value());
  EXPECT_EQ(compare_edge(answers, saturated).advantage_ms, kInfinite);
  EXPECT_EQ(compare_edge(answers, saturated).break_even_km, kInfinite);
  EXPECT_EQ(compare_edge(saturated, answers).advantage_ms, -kInfinite);
  EXPECT_FALSE(compare_edge(saturated, answers).break_even_km.has_value());
}

TEST(Latency, NoAnswerIsNotANumber) {
  Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto some = [&] { return random.chance(0.2) ? 0.0 : random.unit() * 1e5; };
    const LatencyQuery query{.distance_km = random.unit() * 20'000,
                             .factor = 1 + random.unit(),
                             .access_ms = some(),
                             .bytes = some(),
                             .megabits_per_second = some(),
                             .complexity = some(),
                             .power = some(),
                             .arrival_rate = some(),
                             .service_rate = some()};
    LatencyQuery other = query;
    other.service_rate = some();
    const EdgeAgainstCloud both = compare_edge(query, other);
    for (const double number : {both.edge.total_ms, both.edge.p10_ms, both.edge.p90_ms, both.cloud.total_ms,
                                both.advantage_ms.value_or(0), both.break_even_km.value_or(0), both.edge.confidence}) {
      EXPECT_FALSE(std::isnan(number));
    }
    EXPECT_GE(both.edge.total_ms, 0);
  }
}

}  // namespace
}  // namespace verge::planner
