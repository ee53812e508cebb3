#include "mqtt/bridge.h"

#include <gtest/gtest.h>

namespace verge::mqtt {
namespace {

TEST(BridgedTopic, PrefixesAreTakenOffAndPutOn) {
  const std::vector<BridgeTopic> topics{
      {.filter = "oven/#", .out = true, .in = false, .local_prefix = "plant/", .remote_prefix = "site-1/"},
      {.filter = "+/set", .out = false, .in = true, .local_prefix = "commands/", .remote_prefix = ""},
      {.filter = "both", .out = true, .in = true, .local_prefix = "", .remote_prefix = "r/"},
  };
  EXPECT_EQ(bridged_topic(topics, true, "plant/oven/7"), "site-1/oven/7");
  EXPECT_EQ(bridged_topic(topics, true, "plant/oven"), "site-1/oven");
  EXPECT_EQ(bridged_topic(topics, true, "plant/press"), std::nullopt);
  EXPECT_EQ(bridged_topic(topics, true, "oven/7"), std::nullopt);
  EXPECT_EQ(bridged_topic(topics, false, "site-1/oven/7"), std::nullopt);
  EXPECT_EQ(bridged_topic(topics, false, "press-7/set"), "commands/press-7/set");
  EXPECT_EQ(bridged_topic(topics, true, "both"), "r/both");
  EXPECT_EQ(bridged_topic(topics, false, "r/both"), "both");
}

TEST(BridgedTopic, TheFirstThatMatchesDecides) {
  const std::vector<BridgeTopic> topics{{.filter = "a", .local_prefix = "", .remote_prefix = "first/"},
                                        {.filter = "#", .local_prefix = "", .remote_prefix = "rest/"}};
  EXPECT_EQ(bridged_topic(topics, true, "a"), "first/a");
  EXPECT_EQ(bridged_topic(topics, true, "b"), "rest/b");
  EXPECT_EQ(bridged_topic(topics, true, "$SYS/broker/version"), std::nullopt);
}

}  // namespace
}  // namespace verge::mqtt
