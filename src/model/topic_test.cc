#include "model/topic.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "model/event.h"
#include "tests/support/value_of.h"

namespace verge {
namespace {

TEST(Topic, FiltersAreCheckedByLevel) {
  for (const char* good : {"a", "/", "+", "#", "a/+/b", "a/#", "+/+/#", "$SYS/#", "a//b"}) {
    EXPECT_TRUE(is_topic_filter(good)) << good;
  }
  for (const char* bad : {"", "a+", "a/b#", "#/a", "a/#/b", "+a/b"}) EXPECT_FALSE(is_topic_filter(bad)) << bad;
  EXPECT_FALSE(is_topic_filter(std::string(200, '/')));
  EXPECT_FALSE(is_topic_name("a/+"));
  EXPECT_FALSE(is_topic_name(std::string_view("a\0b", 3)));
}

TEST(Topic, MatchingFollowsTheStandard) {
  EXPECT_TRUE(topic_matches("sport/tennis/player1/#", "sport/tennis/player1"));
  EXPECT_TRUE(topic_matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
  EXPECT_TRUE(topic_matches("#", "sport"));
  EXPECT_TRUE(topic_matches("sport/tennis/+", "sport/tennis/player1"));
  EXPECT_FALSE(topic_matches("sport/tennis/+", "sport/tennis/player1/ranking"));
  EXPECT_FALSE(topic_matches("sport/+", "sport"));
  EXPECT_TRUE(topic_matches("sport/+", "sport/"));
  EXPECT_TRUE(topic_matches("+/+", "/finance"));
  EXPECT_FALSE(topic_matches("+", "/finance"));
  EXPECT_FALSE(topic_matches("#", "$SYS/a"));
  EXPECT_FALSE(topic_matches("+/monitor", "$SYS/monitor"));
  EXPECT_TRUE(topic_matches("$SYS/#", "$SYS/a"));
}

TEST(Event, RoundTripsWithAndWithoutOrigin) {
  EventView event{.kind = EventKind::kSelection,
                  .time = {1'700'000'000'000'001},
                  .topic = "a/b",
                  .device = "press-7",
                  .payload = "\x00\xff{}"};
  for (const bool with_origin : {false, true}) {
    event.has_origin = with_origin;
    if (with_origin) {
      event.origin_node = NodeId::generate();
      event.origin_name = "edge-1";
      event.origin_sequence = 1ULL << 40;
    }
    std::string bytes;
    append_event(bytes, event);
    ByteReader reader(bytes);
    const EventView read = tests::value_of(read_event(reader));
    EXPECT_TRUE(reader.empty());
    EXPECT_EQ(read.topic, event.topic);
    EXPECT_EQ(read.payload, event.payload);
    EXPECT_EQ(read.time, event.time);
    EXPECT_EQ(read.origin_node, event.origin_node);
    EXPECT_EQ(read.origin_sequence, event.origin_sequence);
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader torn(std::string_view(bytes).substr(0, cut));
      EXPECT_FALSE(read_event(torn).has_value());
    }
  }
}

}  // namespace
}  // namespace verge
