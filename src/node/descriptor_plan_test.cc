#include "node/descriptor_plan.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

constexpr DescriptorDemand kDefaults{.own = 40, .mqtt = 100'000, .http = 10'000};

TEST(DescriptorPlan, LeavesWhatFits) {
  const Result<DescriptorPlan> planned = plan_descriptors(524'288, kDefaults);
  ASSERT_TRUE(planned);
  const DescriptorPlan& plan = *planned;
  EXPECT_EQ(plan.mqtt, 100'000U);
  EXPECT_EQ(plan.http, 10'000U);
  EXPECT_EQ(plan.for_connections, 524'288U - 256);
  EXPECT_EQ(plan.warning(kDefaults), "");
}

TEST(DescriptorPlan, BoundsBothByWhatIsLeftAndSaysSo) {
  const Result<DescriptorPlan> planned = plan_descriptors(1024, kDefaults);
  ASSERT_TRUE(planned);
  const DescriptorPlan& plan = *planned;
  EXPECT_LE(plan.mqtt + plan.http + kDefaults.own, plan.for_connections);
  EXPECT_EQ(plan.for_connections, 1024U - 128);
  EXPECT_GT(plan.for_admin, plan.for_connections);
  EXPECT_LT(plan.for_admin, plan.limit);
  EXPECT_GT(plan.mqtt, plan.http);
  EXPECT_GT(plan.http, 50U);
  const std::string warning = plan.warning(kDefaults);
  EXPECT_NE(warning.find("mqtt.connections_max is 778 instead of 100000"), std::string::npos) << warning;
  EXPECT_NE(warning.find("http.connections_max is 77 instead of 10000"), std::string::npos) << warning;
  EXPECT_NE(warning.find("LimitNOFILE"), std::string::npos) << warning;
}

TEST(DescriptorPlan, WhatHasNoListenerTakesNothing) {
  const DescriptorDemand demand{.own = 40, .mqtt = 0, .http = 10'000};
  const Result<DescriptorPlan> planned = plan_descriptors(1024, demand);
  ASSERT_TRUE(planned);
  const DescriptorPlan& plan = *planned;
  EXPECT_EQ(plan.mqtt, 0U);
  EXPECT_EQ(plan.http, 1024U - 128 - 40);
}

TEST(DescriptorPlan, RefusesToStartWithTooFew) {
  const Result<DescriptorPlan> plan = plan_descriptors(64, kDefaults);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "node.descriptors");
  EXPECT_NE(plan.error().what.find("64"), std::string::npos);
}

}  // namespace
}  // namespace verge::node
