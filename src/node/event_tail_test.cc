#include "node/event_tail.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

using testing::HasSubstr;

TEST(EventTail, GivesEachWatcherWhatItAskedFor) {
  EventTail tail;
  EXPECT_FALSE(tail.is_watched());
  const uint64_t all = tail.watch("#", "");
  const uint64_t oven = tail.watch("plant/+/oven", "");
  const uint64_t rule = tail.watch("#", "cool");
  EXPECT_TRUE(tail.is_watched());
  tail.add(EventTail::Kind::kMessage, {5'000'000}, "plant/7/oven", "d", R"({"t":80})", "");
  tail.add(EventTail::Kind::kCommand, {6'000'000}, "plant/7/fan", "d", "on", "cool");
  EXPECT_EQ(tail.take(oven).lines,
            R"({"time_ms":5000,"kind":"message","topic":"plant/7/oven","device":"d","rule":"","payload":"{\"t\":80}",)"
            "\"payload_bytes\":8}\n");
  EXPECT_THAT(tail.take(rule).lines, HasSubstr(R"("kind":"command","topic":"plant/7/fan")"));
  EXPECT_EQ(std::ranges::count(tail.take(all).lines, '\n'), 2);
  EXPECT_EQ(tail.take(all).lines, "");
  for (const uint64_t watcher : {all, oven, rule}) tail.unwatch(watcher);
  EXPECT_FALSE(tail.is_watched());
  EXPECT_EQ(tail.take(all).lines, "");
}

TEST(EventTail, CountsWhatASlowWatcherMisses) {
  EventTail tail;
  const uint64_t watcher = tail.watch("#", "");
  for (size_t i = 0; i < EventTail::kWaitingMax + 30; ++i) {
    tail.add(EventTail::Kind::kMessage, {}, "a", "", std::string(1000, '\xc3') + "\xa4", "");
  }
  const EventTail::Taken taken = tail.take(watcher);
  EXPECT_EQ(std::ranges::count(taken.lines, '\n'), EventTail::kWaitingMax);
  EXPECT_EQ(taken.missing, 30U);
  EXPECT_EQ(tail.take(watcher).missing, 0U);
}

TEST(EventTail, HoldsBytesWithinABoundWhateverTopicsAre) {
  EventTail tail;
  const uint64_t watcher = tail.watch("#", "");
  const std::string control(60'000, '\x01');  // six bytes each, in JSON
  for (size_t i = 0; i < EventTail::kWaitingMax; ++i) {
    tail.add(EventTail::Kind::kMessage, {}, control, control, control, "");
  }
  const EventTail::Taken taken = tail.take(watcher);
  EXPECT_LT(taken.lines.size(), EventTail::kWaitingBytesMax + 10'000);
  EXPECT_EQ(std::ranges::count(taken.lines, '\n') + taken.missing, EventTail::kWaitingMax);
  EXPECT_GT(taken.missing, 0U);
}

}  // namespace
}  // namespace verge::node
