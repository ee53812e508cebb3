#include "runtime/passages.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace verge::runtime {
namespace {

// Both ends on the test's thread, so that it decides when which of them takes what came.
class PassagesTest : public testing::Test {
 protected:
  PassagesTest() { there_.join({&from_, &to_}); }

  // Until all that `loop` was posted has run.
  static void run(Loop& loop) {
    loop.post([&loop] { loop.stop(); });
    loop.run();
  }
  bool hand_over(size_t bytes) {
    return there_.offer(1, bytes, [this] { ++taken_; });
  }

  Loop from_{"from"};
  Loop to_{"to"};
  Passages there_{from_, {.tasks_max = 8, .bytes_max = 1000}};
  int taken_ = 0;
};

TEST_F(PassagesTest, TheBoundIsSeenAndRoomIsToldOf) {
  bool resumed = false;
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(hand_over(1));
  EXPECT_EQ(there_.crowded(), 0);
  EXPECT_TRUE(hand_over(1)) << "taken all the same";
  EXPECT_EQ(there_.crowded(), 1);
  there_.await_room([&] { resumed = true; });
  run(from_);
  EXPECT_FALSE(resumed) << "nothing was taken yet";
  run(to_);
  EXPECT_EQ(taken_, 8);
  run(from_);
  EXPECT_TRUE(resumed);
}

TEST_F(PassagesTest, BytesCountToo) {
  EXPECT_TRUE(hand_over(999));
  EXPECT_EQ(there_.crowded(), 0);
  EXPECT_TRUE(hand_over(1));
  EXPECT_EQ(there_.crowded(), 1);
}

TEST_F(PassagesTest, BeyondTwiceTheBytesAnOfferIsRefused) {
  EXPECT_TRUE(hand_over(2001));
  EXPECT_FALSE(hand_over(1));
  EXPECT_EQ(there_.crowded(), 2);
  run(to_);
  EXPECT_EQ(taken_, 1);
  EXPECT_TRUE(hand_over(1));
}

TEST_F(PassagesTest, WhoAsksLateIsResumedToo) {
  bool resumed = false;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(hand_over(1));
  run(to_);
  there_.await_room([&] { resumed = true; });
  EXPECT_FALSE(resumed) << "in another turn";
  run(from_);
  EXPECT_TRUE(resumed);
}

TEST_F(PassagesTest, ThoseWhoWaitGoOnAsFarAsThereIsRoom) {
  std::vector<int> resumed;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(hand_over(1));
  for (int i = 0; i < 20; ++i) {
    there_.await_room([&, i] {
      resumed.push_back(i);
      EXPECT_TRUE(hand_over(1));
    });
  }
  run(to_);
  while (resumed.size() < 8) run(from_);
  for (int i = 0; i < 5; ++i) run(from_);
  EXPECT_EQ(resumed.size(), 8) << "then it is at its bound again";
  while (resumed.size() < 20) {
    run(to_);
    run(from_);
  }
  EXPECT_TRUE(std::ranges::is_sorted(resumed));
}

// Each loop produces for the other as fast as it can, and both go on to the end.
TEST(Passages, TwoLoopsThatAreFullTowardsEachOtherGoOn) {
  constexpr int kTasks = 20'000;
  Loop loops[2] = {Loop("left"), Loop("right")};
  Passages passages[2] = {{loops[0], {.tasks_max = 4}}, {loops[1], {.tasks_max = 4}}};
  int sent[2] = {0, 0};
  std::atomic<int> taken[2] = {0, 0};
  std::atomic<int> ended{0};
  std::function<void(size_t)> produce = [&](size_t self) {
    const size_t other = 1 - self;
    const uint64_t before = passages[self].crowded();
    while (sent[self] < kTasks && passages[self].crowded() == before) {
      ++sent[self];
      passages[self].post(other, 1, [&, other] {
        EXPECT_TRUE(loops[other].here());
        if (++taken[other] == kTasks && ++ended == 2) {
          for (Loop& loop : loops) loop.stop();
        }
      });
    }
    if (sent[self] < kTasks) passages[self].await_room([&, self] { produce(self); });
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 2; ++i) {
    passages[i].join({&loops[0], &loops[1]});
    loops[i].post([&, i] { produce(i); });
  }
  for (Loop& loop : loops) threads.emplace_back([&loop] { loop.run(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken[0], kTasks);
  EXPECT_EQ(taken[1], kTasks);
}

}  // namespace
}  // namespace verge::runtime
