#include "cli/scoreboard.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::cli {
namespace {

std::string part(std::string_view machine, int number, int sequence) {
  return fmt::format(
      R"({{"position":"normal:1","stream":"normal","sequence":1,"topic":"plant/{0}/part","device":"{0}","origin":{{"node":"ab","name":"edge","sequence":{2}}},"payload":{{"machine":"{0}","part":{1}}}}})",
      machine, number, sequence);
}

TEST(Scoreboard, NothingLostNothingTwice) {
  StoredRecords stored;
  stored.add(part("m-001", 1, 1));
  stored.add(part("m-002", 1, 2));
  stored.add(part("m-001", 2, 3));
  const std::set<PartKey> acknowledged = {{"m-001", 1}, {"m-001", 2}, {"m-002", 1}};
  EXPECT_EQ(stored.lost(acknowledged), 0);
  EXPECT_EQ(stored.duplicated(), 0);
  EXPECT_EQ(stored.records(), 3);
  EXPECT_TRUE(stored.holds({"m-001", 2}));
}

TEST(Scoreboard, LossIsWhatWasAcknowledgedAndIsNotThere) {
  StoredRecords stored;
  stored.add(part("m-001", 2, 1));
  EXPECT_EQ(stored.lost({{"m-001", 1}, {"m-001", 2}, {"m-009", 2}}), 2);
}

TEST(Scoreboard, TwiceIsTheSamePartOrTheSameRecord) {
  StoredRecords stored;
  stored.add(part("m-001", 1, 1));
  stored.add(part("m-001", 1, 2));  // taken twice by the edge
  EXPECT_EQ(stored.duplicated(), 1);
  stored.add(part("m-001", 3, 2));  // delivered twice
  EXPECT_EQ(stored.duplicated(), 2);
  stored.add(part("m-001", 3, 2));  // both, and still one record too many
  EXPECT_EQ(stored.duplicated(), 3);
}

TEST(Scoreboard, TheLastTenSecondValuesCount) {
  StoredRecords stored;
  const auto values = [](int sequence, std::string_view topic, std::string_view device, int readings) {
    return fmt::format(
        R"({{"stream":"normal","topic":"{}","device":"{}","origin":{{"node":"ab","sequence":{}}},"payload":{{"readings":{}}}}})",
        topic, device, sequence, readings);
  };
  stored.add(values(1, "plant/m-001/10s", "m-001", 100));
  stored.add(values(2, "plant/m-001/10s", "m-001", 125));
  stored.add(values(3, "host/vm/10s", "vm", 10));
  EXPECT_THAT(stored.machine_values(), testing::ElementsAre(testing::Pair("m-001", R"({"readings":125})")));
  EXPECT_THAT(stored.other_values(), testing::ElementsAre(testing::Pair("vm", R"({"readings":10})")));
}

TEST(Scoreboard, Verdict) {
  Score score{.bytes_in = 1000, .bytes_sent = 9, .acknowledged = 5, .machines = 1, .machine_values = {{"m-001", "{}"}}};
  EXPECT_TRUE(score.passed());
  EXPECT_DOUBLE_EQ(score.percent_sent(), 0.9);
  EXPECT_THAT(json_of(score), testing::HasSubstr(R"("values":{"m-001":{}}})"));
  EXPECT_THAT(text_of(score), testing::HasSubstr("0.90 %"));
  score.lost = 1;
  EXPECT_FALSE(score.passed());
  score.lost = 0;
  score.duplicated = 1;
  EXPECT_FALSE(score.passed());
  score.duplicated = 0;
  score.machines = 2;
  EXPECT_FALSE(score.passed());
  EXPECT_FALSE(Score{}.passed());
}

}  // namespace
}  // namespace verge::cli
