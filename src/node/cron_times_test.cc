#include "node/cron_times.h"

#include <chrono>

#include <gtest/gtest.h>

namespace verge::node {
namespace {

int64_t at(int year, unsigned month, unsigned day, int hour, int minute, int second = 0) {
  const std::chrono::sys_days date{std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day)};
  return date.time_since_epoch() / std::chrono::seconds(1) + hour * 3600 + minute * 60 + second;
}

int64_t next(std::string_view text, int64_t after) {
  const auto times = CronTimes::parse(text);
  EXPECT_TRUE(times.has_value()) << text;
  return times ? times->next_after(after).value_or(-1) : -1;
}

TEST(CronTimes, EachFieldCounts) {
  const int64_t now = at(2026, 3, 4, 5, 6, 7);  // a Wednesday
  EXPECT_EQ(next("* * * * *", now), at(2026, 3, 4, 5, 7));
  EXPECT_EQ(next("*/5 * * * *", now), at(2026, 3, 4, 5, 10));
  EXPECT_EQ(next("6 5 * * *", now), at(2026, 3, 5, 5, 6));
  EXPECT_EQ(next("0 3 * * *", now), at(2026, 3, 5, 3, 0));
  EXPECT_EQ(next("30 8-18/2 * * *", now), at(2026, 3, 4, 8, 30));
  EXPECT_EQ(next("0 0 1 * *", now), at(2026, 4, 1, 0, 0));
  EXPECT_EQ(next("0 0 29 feb *", now), at(2028, 2, 29, 0, 0));
  EXPECT_EQ(next("0 0 * * mon-fri", at(2026, 3, 6, 12, 0)), at(2026, 3, 9, 0, 0));
  EXPECT_EQ(next("0 0 * * 7", now), at(2026, 3, 8, 0, 0));
  EXPECT_EQ(next("1,59 5 * * *", now), at(2026, 3, 4, 5, 59));
  EXPECT_EQ(next("10/20 * * * *", now), at(2026, 3, 4, 5, 10));
  EXPECT_EQ(next("@hourly", now), at(2026, 3, 4, 6, 0));
  EXPECT_EQ(next("@yearly", now), at(2027, 1, 1, 0, 0));
}

TEST(CronTimes, EitherOfTwoDaysCounts) {
  EXPECT_EQ(next("0 0 13 * fri", at(2026, 3, 4, 0, 0)), at(2026, 3, 6, 0, 0));
  EXPECT_EQ(next("0 0 5 * fri", at(2026, 3, 4, 0, 0)), at(2026, 3, 5, 0, 0));
}

TEST(CronTimes, NoneIsNearARareDay) {
  EXPECT_EQ(CronTimes::parse("0 0 29 2 *")->next_after(at(2096, 3, 1, 0, 0)), at(2104, 2, 29, 0, 0));
}

TEST(CronTimes, WhatIsNoneIsRefused) {
  for (const std::string_view text :
       {"",           "* * * *",       "* * * * * *", "60 * * * *", "* 24 * * *",   "* * 0 * *",    "* * * 13 *",
        "* * * * 8",  "*/0 * * * *",   "5-1 * * * *", "1, * * * *", ",1 * * * *",   "a * * * *",    "1- * * * *",
        "-1 * * * *", "* * * foo *",   "@never",      "1/ * * * *", "*/60 * * * *", "*/61 * * * *", "* */24 * * *",
        "0 0 30 2 *", "0 0 31 2,4,6 *"}) {
    const auto times = CronTimes::parse(text);
    ASSERT_FALSE(times.has_value()) << text;
    EXPECT_EQ(times.error().code, "workers.cron");
  }
}

}  // namespace
}  // namespace verge::node
