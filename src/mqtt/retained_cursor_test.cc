#include "mqtt/retained_cursor.h"

#include <gtest/gtest.h>

namespace verge::mqtt {
namespace {

Message message(std::string topic, uint64_t order) {
  Message made;
  made.topic = std::move(topic);
  made.order = order;
  return made;
}

TEST(RetainedNews, CoverWhatIsNotLater) {
  RetainedNews news;
  const RetainedCursor cursor{.number = 10};
  news.note(message("a", 5), 1, 11);
  EXPECT_TRUE(news.covers(message("a", 4), cursor));
  EXPECT_TRUE(news.covers(message("a", 5), cursor));
  EXPECT_FALSE(news.covers(message("a", 6), cursor));
  EXPECT_FALSE(news.covers(message("b", 4), cursor));
  news.note(message("a", 7), 1, 12);
  EXPECT_TRUE(news.covers(message("a", 6), cursor));
  EXPECT_TRUE(news.covers(message("a", 0), cursor)) << "from before the node began";
}

TEST(RetainedNews, CoverNothingForWhoSubscribesLater) {
  RetainedNews news;
  news.note(message("a", 5), 1, 11);
  EXPECT_FALSE(news.covers(message("a", 5), {.number = 12}));
}

TEST(RetainedNews, WhatTheClientMayLackCoversNothing) {
  RetainedNews news;
  const RetainedCursor cursor{.number = 10};
  news.note(message("at 0", 5), 0, 11);
  news.note(message("at 1", 5), 1, 11);
  news.note(message("forgotten", 5), 2, 11);
  news.forget(message("forgotten", 6));
  news.forget(message("unknown", 5));
  news.forget_unacknowledged();
  EXPECT_FALSE(news.covers(message("at 0", 5), cursor));
  EXPECT_TRUE(news.covers(message("at 1", 5), cursor));
  EXPECT_FALSE(news.covers(message("forgotten", 5), cursor));
  news.forget_all();
  EXPECT_FALSE(news.covers(message("at 1", 5), cursor));
}

TEST(RetainedNews, AreBounded) {
  RetainedNews news;
  const RetainedCursor cursor{.number = 10};
  const std::string large(RetainedNews::kBytesMax / 4, 'x');
  for (int round = 0; round < 2; ++round) {
    for (char name = 'a'; name < 'z'; ++name) news.note(message(name + large, 5), 0, 11);
    EXPECT_TRUE(news.covers(message('a' + large, 5), cursor));
    EXPECT_FALSE(news.covers(message('y' + large, 5), cursor));
    news.note(message("small", 5), 0, 11);
    EXPECT_TRUE(news.covers(message("small", 5), cursor));
    news.forget_unacknowledged();  // there is room again
  }
}

}  // namespace
}  // namespace verge::mqtt
