#include "runtime/loop.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::runtime {
namespace {

TEST(Loop, RunsPostedTasksInOrder) {
  Loop loop("test");
  std::vector<int> seen;
  for (int i = 0; i < 3; ++i) loop.post([&seen, i] { seen.push_back(i); });
  loop.post([&loop] { loop.stop(); });
  loop.run();
  EXPECT_EQ(seen, (std::vector{0, 1, 2}));
}

TEST(Loop, PostingFromOtherThreadsWakesIt) {
  Loop loop("test");
  int count = 0;
  std::thread other([&] {
    for (int i = 0; i < 10'000; ++i) loop.post([&count] { ++count; });
    loop.post([&loop] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(count, 10'000);
}

TEST(Loop, TimersFireInOrderOfTimeAndNotWhenCancelled) {
  Loop loop("test");
  std::vector<int> seen;
  Timer late(loop);
  Timer early(loop);
  Timer never(loop);
  late.after(std::chrono::milliseconds(3), [&] {
    seen.push_back(2);
    loop.stop();
  });
  early.after(std::chrono::milliseconds(1), [&] {
    seen.push_back(1);
    never.cancel();
  });
  never.after(std::chrono::milliseconds(2), [&] { seen.push_back(0); });
  loop.run();
  EXPECT_EQ(seen, (std::vector{1, 2}));
}

// Two descriptors become ready in one wait; the first callback unwatches the second.
TEST(Loop, AWatcherThatIsGoneIsNotCalled) {
  struct Reader final : Watcher {
    std::function<void()> ready;
    void on_ready(uint32_t) override { ready(); }
  };
  Loop loop("test");
  int pipes[2][2];
  Reader readers[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(pipe(pipes[i]), 0);
    ASSERT_EQ(write(pipes[i][1], "x", 1), 1);
    loop.watch(pipes[i][0], EPOLLIN, readers[i]);
  }
  for (int i = 0; i < 2; ++i) {
    readers[i].ready = [&] {
      ++calls;
      for (int k = 0; k < 2; ++k) loop.unwatch(pipes[k][0], readers[k]);
      loop.stop();
    };
  }
  loop.run();
  EXPECT_EQ(calls, 1);
  for (auto& ends : pipes) {
    close(ends[0]);
    close(ends[1]);
  }
}

// A backlog that takes long: what becomes ready meanwhile is seen to before it ends, and the order stays.
TEST(Loop, ABacklogLetsDescriptorsInBetween) {
  struct Reader final : Watcher {
    std::function<void()> ready;
    void on_ready(uint32_t) override { ready(); }
  };
  constexpr int kTasks = 1000;
  Loop loop("test");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  int run = 0;
  int run_when_ready = kTasks;
  Reader reader;
  reader.ready = [&] {
    run_when_ready = run;
    loop.unwatch(ends[0], reader);
  };
  loop.watch(ends[0], EPOLLIN, reader);
  for (int i = 0; i < kTasks; ++i) {
    loop.post([&, i] {
      EXPECT_EQ(run++, i);
      if (i == 0) {
        ASSERT_EQ(write(ends[1], "x", 1), 1);
      }
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
      while (std::chrono::steady_clock::now() < until) continue;
    });
  }
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(run, kTasks);
  EXPECT_LT(run_when_ready, kTasks);
  for (const int end : ends) close(end);
}

// Tasks that are posted while others are due run behind them, and none is forgotten.
TEST(Loop, TasksThatPostTasksKeepTheOrder) {
  Loop loop("test");
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) {
    loop.post([&, i] {
      seen.push_back(i);
      loop.post([&, i] {
        seen.push_back(100 + i);
        if (i == 99) loop.stop();
      });
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
      while (std::chrono::steady_clock::now() < until) continue;
    });
  }
  loop.run();
  ASSERT_EQ(seen.size(), 200);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

}  // namespace
}  // namespace verge::runtime
