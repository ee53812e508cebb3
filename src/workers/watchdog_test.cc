#include "workers/watchdog.h"

#include <chrono>
#include <ctime>

#include <gtest/gtest.h>

namespace verge::workers {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

// One for all tests: its thread runs until the process ends.
struct Watched {
  std::atomic<uint64_t> entries{0};
  Watchdog watchdog{entries};
  Watched() { watchdog.start(); }
};

Watched& watched() {
  static auto* const one = new Watched;
  return *one;
}

// Runs until `end` or the processor time is used up; gives whether `end` came first.
bool spin_until(const std::atomic<bool>& end, std::clock_t most) {
  const std::clock_t begun = std::clock();
  while (!end.load()) {
    if (std::clock() - begun > most) return false;
  }
  return true;
}

TEST(Watchdog, CodeThatRunsTooLongIsTold) {
  std::atomic<bool> told{false};
  std::function<void()> expired = [&told] { told = true; };
  watched().watchdog.enter(20 * kMillisecond, expired);
  EXPECT_EQ(watched().entries.load() % 2, 1U);
  EXPECT_TRUE(spin_until(told, 20 * CLOCKS_PER_SEC));
  watched().watchdog.leave();
  EXPECT_EQ(watched().entries.load() % 2, 0U);
}

TEST(Watchdog, ManyShortEntriesAreNotOneLongOne) {
  std::atomic<int> told{0};
  std::function<void()> expired = [&told] { ++told; };
  std::atomic<bool> never{false};
  for (int i = 0; i < 100; ++i) {
    watched().watchdog.enter(1000 * kMillisecond, expired);
    spin_until(never, CLOCKS_PER_SEC / 500);
    watched().watchdog.leave();
  }
  EXPECT_EQ(told.load(), 0);
}

TEST(Watchdog, WakesWhenCodeRunsAfterALongRest) {
  while (!watched().watchdog.is_resting()) std::this_thread::yield();
  std::atomic<bool> told{false};
  std::function<void()> expired = [&told] { told = true; };
  watched().watchdog.enter(5 * kMillisecond, expired);
  EXPECT_TRUE(spin_until(told, 20 * CLOCKS_PER_SEC));
  watched().watchdog.leave();
}

}  // namespace
}  // namespace verge::workers
