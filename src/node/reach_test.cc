#include "node/reach.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

using std::chrono::milliseconds;
using Where = Placement::Where;

constexpr MonotonicTime kNow{std::chrono::hours(1)};

TEST(Reach, WhatIsNotAboveIsDecidedHere) {
  const Reach reach(Tier::kFog);
  EXPECT_EQ(reach.place(Tier::kDevice, milliseconds(100), true, kNow).where, Where::kHere);
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(100), true, kNow).where, Where::kHere);
  EXPECT_EQ(reach.place(Tier::kCloud, milliseconds(100), true, kNow).where, Where::kUp);
  EXPECT_EQ(reach.place(Tier::kCloud, milliseconds(100), false, kNow).where, Where::kNowhere);
}

TEST(Reach, UnmeasuredLevelsAreAsFarAsTheyUsuallyAre) {
  const Reach reach(Tier::kEdge);
  EXPECT_EQ(reach.place({}, milliseconds(1), true, kNow).where, Where::kUp);
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(11), true, kNow).where, Where::kUp);
  const Placement fog = reach.place(Tier::kCloud, milliseconds(40), true, kNow);
  EXPECT_EQ(fog.where, Where::kUp);
  EXPECT_EQ(fog.level, Tier::kFog);
  EXPECT_TRUE(fog.is_replaced);
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(5), true, kNow).where, Where::kNowhere);
}

TEST(Reach, WhatReportsSayOfTheParentCounts) {
  Reach reach(Tier::kEdge);
  reach.parent_is(Tier::kFog, milliseconds(2), kNow);
  EXPECT_EQ(reach.expected(Tier::kFog, kNow), milliseconds(2));
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(5), true, kNow).where, Where::kUp);
  reach.parent_is(Tier::kFog, milliseconds(300), kNow);
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(100), true, kNow).where, Where::kNowhere);
  EXPECT_EQ(reach.place(Tier::kCloud, milliseconds(100), true, kNow).where, Where::kNowhere) << "it is behind the fog";
}

TEST(Reach, ALevelThatIsNotBetweenHereAndTheParentIsNotAsked) {
  Reach reach(Tier::kEdge);
  reach.parent_is(Tier::kCloud, milliseconds(80), kNow);
  EXPECT_EQ(reach.place(Tier::kCloud, milliseconds(40), true, kNow).where, Where::kNowhere);
  EXPECT_EQ(reach.place(Tier::kFog, milliseconds(90), true, kNow).where, Where::kUp) << "the cloud is the next above";
}

TEST(Reach, LevelsThatAreLateGoOutOfReachAndAreTriedAgain) {
  Reach reach(Tier::kEdge);
  reach.parent_is(Tier::kFog, milliseconds(1), kNow);
  int asked = 0;
  while (reach.place({}, milliseconds(50), true, kNow).where == Where::kUp && asked < 10) {
    reach.late({}, milliseconds(50), kNow);
    ++asked;
  }
  EXPECT_GE(asked, 2) << "one late answer says little";
  EXPECT_LT(asked, 10);
  const MonotonicTime later = kNow + Reach::kCountsFor;
  EXPECT_EQ(reach.place({}, milliseconds(50), true, later).where, Where::kUp);
}

TEST(Reach, MeasurementsAreSmoothed) {
  Reach reach(Tier::kEdge);
  for (int i = 0; i < 40; ++i) reach.measured(Tier::kCloud, milliseconds(4), kNow);
  EXPECT_LT(reach.expected(Tier::kCloud, kNow), milliseconds(5));
  reach.measured(Tier::kCloud, milliseconds(400), kNow);
  EXPECT_LT(reach.expected(Tier::kCloud, kNow), milliseconds(110));
}

}  // namespace
}  // namespace verge::node
