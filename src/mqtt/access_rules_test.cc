#include "mqtt/access_rules.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "model/topic.h"

namespace verge::mqtt {
namespace {

using Grant = AccessRules::Grant;

TEST(AccessRules, WithoutRulesEverythingIsAllowedAndWithSomeOnlyWhatTheySay) {
  EXPECT_TRUE(AccessRules().may_publish({"", "c"}, "a"));
  EXPECT_EQ(AccessRules().may_subscribe({"", "c"}, "#"), Grant::kWhole);
  const AccessRules rules({{.subscribe = false, .topics = {"a/#"}}});
  EXPECT_TRUE(rules.may_publish({"", "c"}, "a/b"));
  EXPECT_FALSE(rules.may_publish({"", "c"}, "b"));
  EXPECT_EQ(rules.may_subscribe({"", "c"}, "a/b"), Grant::kNone);
}

TEST(AccessRules, TheFirstThatSpeaksOfItDecides) {
  const AccessRules rules({{.allow = false, .users = {"guest"}, .topics = {"plant/secret/#"}},
                           {.users = {"", "guest"}, .publish = false, .topics = {"plant/#"}},
                           {.users = {"boss"}, .topics = {"#"}}});
  EXPECT_EQ(rules.may_subscribe({"guest", "c"}, "plant/oven"), Grant::kWhole);
  EXPECT_EQ(rules.may_subscribe({"guest", "c"}, "plant/secret/+"), Grant::kNone);
  EXPECT_EQ(rules.may_subscribe({"guest", "c"}, "plant/#"), Grant::kInPart);
  EXPECT_EQ(rules.may_subscribe({"guest", "c"}, "#"), Grant::kNone);
  EXPECT_TRUE(rules.may_receive({"guest", "c"}, "plant/oven"));
  EXPECT_FALSE(rules.may_receive({"guest", "c"}, "plant/secret/x"));
  EXPECT_EQ(rules.may_subscribe({"", "c"}, "plant/#"), Grant::kWhole);
  EXPECT_FALSE(rules.may_publish({"", "c"}, "plant/oven"));
  EXPECT_TRUE(rules.may_publish({"boss", "c"}, "plant/oven"));
  EXPECT_EQ(rules.may_subscribe({"boss", "c"}, "$SYS/#"), Grant::kNone);
}

TEST(AccessRules, NamesStandInPatternsUnlessTheyCouldWidenThem) {
  const AccessRules rules({{.topics = {"device/%c/#", "user/%u", "both/%u-%c"}}});
  EXPECT_TRUE(rules.may_publish({"ann", "press-7"}, "device/press-7/oven"));
  EXPECT_FALSE(rules.may_publish({"ann", "press-7"}, "device/press-8/oven"));
  EXPECT_TRUE(rules.may_publish({"ann", "press-7"}, "user/ann"));
  EXPECT_TRUE(rules.may_publish({"ann", "press-7"}, "both/ann-press-7"));
  EXPECT_FALSE(rules.may_publish({"", "press-7"}, "user/"));
  for (const char* id : {"+", "#", "a/b", "a+", ""}) {
    EXPECT_FALSE(rules.may_publish({"ann", id}, "device/a/b")) << id;
    EXPECT_FALSE(rules.may_publish({"ann", id}, std::string("device/") + id + "/x")) << id;
    EXPECT_EQ(rules.may_subscribe({"ann", id}, "device/+/#"), Grant::kNone) << id;
  }
}

// Against what the words say, over all topics of few levels.
TEST(AccessRules, CoversAndOverlapsAreWhatTopicsSay) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  // "z" stands for a level that no filter names; topics are one level longer than filters.
  std::vector<std::string> topics;
  const std::vector<std::string> levels = {"a", "b", "$s", "z", ""};
  const auto extend = [&](const auto& self, const std::string& prefix, size_t depth) -> void {
    for (const std::string& level : levels) {
      const std::string topic = depth == 0 ? level : prefix + "/" + level;
      topics.push_back(topic);
      if (depth < 3) self(self, topic, depth + 1);
    }
  };
  extend(extend, "", 0);
  const auto filter = [&] {
    std::string text;
    const uint64_t depth = 1 + random.below(3);
    for (uint64_t i = 0; i < depth; ++i) {
      if (i > 0) text.push_back('/');
      const uint64_t pick = random.below(6);
      if (pick == 5 && i + 1 == depth) {
        text.push_back('#');
      } else if (pick >= 4) {
        text.push_back('+');
      } else {
        text.append(pick == 0 ? "" : pick == 1 ? "a" : pick == 2 ? "b" : "$s");
      }
    }
    return text.empty() ? "a" : text;
  };
  for (int round = 0; round < 1000; ++round) {
    const std::string pattern = filter();
    const std::string wanted = filter();
    bool all = true;
    bool any = false;
    for (const std::string& topic : topics) {
      const bool is_wanted = topic_matches(wanted, topic);
      const bool is_meant = topic_matches(pattern, topic);
      all &= !is_wanted || is_meant;
      any |= is_wanted && is_meant;
    }
    ASSERT_EQ(covers(pattern, wanted), all) << pattern << " covers " << wanted;
    ASSERT_EQ(overlaps(pattern, wanted), any) << pattern << " overlaps " << wanted;
  }
}

}  // namespace
}  // namespace verge::mqtt
