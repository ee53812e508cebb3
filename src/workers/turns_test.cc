#include "workers/turns.h"

#include <cerrno>
#include <ctime>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

namespace verge::workers {
namespace {

TEST(Turns, InterruptTheThreadWhileTheyAreGiven) {
  Turns turns;
  ASSERT_TRUE(turns.attach());
  turns.give(true);
  const timespec long_while{.tv_sec = 20, .tv_nsec = 0};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(ppoll(nullptr, 0, &long_while, nullptr), -1);
    EXPECT_EQ(errno, EINTR);
  }
  turns.give(false);
  const timespec a_while{.tv_sec = 0, .tv_nsec = 20'000'000};
  EXPECT_EQ(ppoll(nullptr, 0, &a_while, nullptr), 0);
}

TEST(Turns, WhoComputesGivesWayAndWhoWaitsDoesNot) {
  std::thread([] {
    Turns turns;
    ASSERT_TRUE(turns.attach());
    turns.give(true);
    const std::clock_t begun = std::clock();
    while (Turns::given() < 5 && std::clock() - begun < 20 * CLOCKS_PER_SEC) {
    }
    ASSERT_GE(Turns::given(), 5U);
    const uint64_t before = Turns::given();
    const timespec long_while{.tv_sec = 20, .tv_nsec = 0};
    for (int i = 0; i < 20; ++i) ASSERT_EQ(ppoll(nullptr, 0, &long_while, nullptr), -1);
    EXPECT_LT(Turns::given() - before, 10U) << "it was interrupted 20 times";
    turns.give(false);
  }).join();
}

TEST(Turns, WithoutATimerNothingHappens) {
  Turns turns;
  turns.give(true);
  turns.give(false);
}

}  // namespace
}  // namespace verge::workers
