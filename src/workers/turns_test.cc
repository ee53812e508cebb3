#include "workers/turns.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <poll.h>

namespace verge::workers {
namespace {

TEST(Turns, InterruptTheThreadWhileTheyAreGiven) {
  Turns turns;
  turns.attach();
  turns.give(true);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ppoll(nullptr, 0, nullptr, nullptr), -1);  // for ever otherwise
    EXPECT_EQ(errno, EINTR);
  }
  turns.give(false);
  const timespec a_while{.tv_sec = 0, .tv_nsec = 20'000'000};
  EXPECT_EQ(ppoll(nullptr, 0, &a_while, nullptr), 0);
}

TEST(Turns, WithoutATimerNothingHappens) {
  Turns turns;
  turns.give(true);
  turns.give(false);
}

}  // namespace
}  // namespace verge::workers
