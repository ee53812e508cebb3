#include "mqtt/retained_cursor.h"

#include <gtest/gtest.h>

namespace verge::mqtt {
namespace {

Message message(std::string topic, int received_ns) {
  Message made;
  made.topic = std::move(topic);
  made.received = MonotonicTime(std::chrono::nanoseconds(received_ns));
  return made;
}

TEST(OvertakenTopics, CoverWhatIsNotNewerThanTheNews) {
  OvertakenTopics overtaken;
  overtaken.note(message("a", 5), 1);
  EXPECT_TRUE(overtaken.covers(message("a", 4)));
  EXPECT_TRUE(overtaken.covers(message("a", 5)));
  EXPECT_FALSE(overtaken.covers(message("a", 6)));
  EXPECT_FALSE(overtaken.covers(message("b", 4)));
  overtaken.note(message("a", 7), 1);
  EXPECT_TRUE(overtaken.covers(message("a", 6)));
}

TEST(OvertakenTopics, WhatTheClientMayLackCoversNothing) {
  OvertakenTopics overtaken;
  overtaken.note(message("at 0", 5), 0);
  overtaken.note(message("at 1", 5), 1);
  overtaken.note(message("withdrawn", 5), 2);
  overtaken.note(message("newer", 6), 2);
  overtaken.withdraw(message("withdrawn", 5));
  overtaken.withdraw(message("newer", 5));
  overtaken.withdraw(message("unknown", 5));
  overtaken.forget_unacknowledged();
  EXPECT_FALSE(overtaken.covers(message("at 0", 5)));
  EXPECT_TRUE(overtaken.covers(message("at 1", 5)));
  EXPECT_FALSE(overtaken.covers(message("withdrawn", 5)));
  EXPECT_TRUE(overtaken.covers(message("newer", 5)));
}

TEST(OvertakenTopics, AreBounded) {
  OvertakenTopics overtaken;
  const std::string large(OvertakenTopics::kBytesMax / 4, 'x');
  for (int round = 0; round < 2; ++round) {
    for (char name = 'a'; name < 'z'; ++name) overtaken.note(message(name + large, 5), 0);
    EXPECT_TRUE(overtaken.covers(message('a' + large, 5)));
    EXPECT_FALSE(overtaken.covers(message('y' + large, 5)));
    overtaken.note(message("small", 5), 0);
    EXPECT_TRUE(overtaken.covers(message("small", 5)));
    overtaken.forget_unacknowledged();  // there is room again
  }
}

}  // namespace
}  // namespace verge::mqtt
