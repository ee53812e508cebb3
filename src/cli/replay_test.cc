#include "cli/replay.h"

#include <gtest/gtest.h>

namespace verge::cli {
namespace {

TEST(Replay, ReadsPointsWithAndWithoutHeader) {
  for (const std::string header : {"", "timestamp,value\n", "\xef\xbb\xbftimestamp,value\r\n"}) {
    const auto points =
        parse_replay(header + "2014-07-01 00:00:00,10844\r\n\n\"2014-07-01 00:30:00\", -1.5e2 ,x\n", "f");
    ASSERT_TRUE(points) << points.error().line();
    ASSERT_EQ(points->size(), 2);
    EXPECT_EQ((*points)[0].timestamp, "2014-07-01 00:00:00");
    EXPECT_EQ((*points)[0].value, 10844);
    EXPECT_EQ((*points)[1].timestamp, "2014-07-01 00:30:00");
    EXPECT_EQ((*points)[1].value, -150);
  }
}

TEST(Replay, NamesTheLineThatIsWrong) {
  for (const std::string_view bad : {"c", "c,", "c,1x", ",1", "c,nan", "\"c", "\xff,1"}) {
    const auto points = parse_replay("a,1\nb,2\n" + std::string(bad) + "\n", "f.csv");
    ASSERT_FALSE(points) << bad;
    EXPECT_TRUE(points.error().what.starts_with("f.csv:3: ")) << points.error().what;
  }
  EXPECT_FALSE(parse_replay("timestamp,value\ntimestamp,value\n1,2\n", "f"));
}

TEST(Replay, NothingToPlay) {
  EXPECT_EQ(parse_replay("", "f").error().code, "replay.empty");
  EXPECT_EQ(parse_replay("timestamp,value\n", "f").error().code, "replay.empty");
  EXPECT_EQ(read_replay("/nowhere.csv").error().code, "replay.file");
}

TEST(Replay, TopicLevel) {
  EXPECT_EQ(replay_topic_level("/a/b/nyc_taxi.csv"), "nyc_taxi");
  EXPECT_EQ(replay_topic_level("a+b#.csv"), "a-b-");
  EXPECT_EQ(replay_topic_level(""), "series");
}

}  // namespace
}  // namespace verge::cli
