#include "planner/economics.h"

#include <gtest/gtest.h>

#include "planner/advice.h"

namespace verge::planner {
namespace {

TEST(Economics, ByHand) {
  const EconomicsAnswer answer = assess({.nodes = 10,
                                         .gigabytes_saved_per_day = 1000,
                                         .cloud_hours_saved_per_day = 200,
                                         .availability_gain_percent = 0.5,
                                         .latency_gain_ms = 40,
                                         .use_case = "industrial",
                                         .requests_per_day = 1e6});
  EXPECT_DOUBLE_EQ(answer.investment, 500'000);
  EXPECT_DOUBLE_EQ(answer.bandwidth_savings_per_year, 36'500);     // 1000 * 0.10 * 365
  EXPECT_DOUBLE_EQ(answer.cloud_savings_per_year, 3'650);          // 200 * 0.05 * 365
  EXPECT_DOUBLE_EQ(answer.latency_benefit_per_year, 20'000);       // 40 * 500
  EXPECT_DOUBLE_EQ(answer.availability_benefit_per_year, 50'000);  // 0.5 * 100000
  EXPECT_DOUBLE_EQ(answer.simple_roi.value_or(0), (350'000.0 - 500'000) / 500'000);
  EXPECT_DOUBLE_EQ(answer.roi.value_or(0), (550'750.0 - 500'000) / 500'000);
  EXPECT_DOUBLE_EQ(answer.payback_months.value_or(0), 500'000 / (110'150.0 / 12));
  EXPECT_DOUBLE_EQ(answer.cost_per_request.value_or(0), 500'000 / (1e6 * 365 * 5));
}

TEST(Economics, AMillisecondIsWorthWhatItsUseSays) {
  EXPECT_EQ(worth_of_millisecond("autonomous-vehicle"), 1000);
  EXPECT_EQ(worth_of_millisecond("ar-vr"), 100);
  EXPECT_EQ(worth_of_millisecond("industrial"), 500);
  EXPECT_EQ(worth_of_millisecond("video"), 50);
  EXPECT_EQ(worth_of_millisecond("city"), 200);
  EXPECT_EQ(worth_of_millisecond("knitting"), 100);
}

TEST(Economics, WhatBringsNothingIsNeverPaidBackAndWhatCostsNothingHasNoRoi) {
  const EconomicsInput nothing{.gigabytes_saved_per_day = 0, .cloud_hours_saved_per_day = 0};
  EXPECT_FALSE(assess(nothing).payback_months.has_value());
  EXPECT_DOUBLE_EQ(assess(nothing).roi.value_or(0), -1);
  EXPECT_FALSE(assess({.nodes = 0}).roi.has_value());
}

TEST(Economics, TheMostImportantInputComesFirst) {
  const auto order = sensitivities({.nodes = 10, .gigabytes_saved_per_day = 100'000, .cloud_hours_saved_per_day = 1});
  for (size_t i = 1; i < order.size(); ++i) EXPECT_GE(order[i - 1].swing, order[i].swing);
  EXPECT_GT(order.front().swing, 0);
}

TEST(Advice, ControlThatMustGoOnBelongsToTheEdge) {
  const Advice advice = advise({.latency_ms = 5, .must_run_offline = true, .computing = "realtime"});
  EXPECT_EQ(advice.where, "edge");
  EXPECT_EQ(advice.factors.size(), 6U);
  EXPECT_TRUE(advice.mistakes.empty());
}

TEST(Advice, ATrainingThatMayWaitBelongsToTheCloud) {
  EXPECT_EQ(advise({.latency_ms = 500, .computing = "training"}).where, "cloud");
}

TEST(Advice, EachOfTheUsualMistakesIsFound) {
  const Advice advice = advise({.edge_utilisation = 0.1,
                                .estimated_edge_nodes = 500,
                                .operators = 2,
                                .has_security_plan = false,
                                .has_offline_strategy = false,
                                .services = 1});
  ASSERT_EQ(advice.mistakes.size(), 5U);
  EXPECT_EQ(advice.mistakes[0].name, "over-provisioned edge");
  EXPECT_EQ(advice.mistakes[1].name, "complexity under-estimated");
  EXPECT_EQ(advice.mistakes[2].name, "security left out");
  EXPECT_EQ(advice.mistakes[3].name, "no offline strategy");
  EXPECT_EQ(advice.mistakes[4].name, "one monolith");
}

}  // namespace
}  // namespace verge::planner
