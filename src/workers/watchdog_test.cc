#include "workers/watchdog.h"

#include <chrono>
#include <ctime>

#include <gtest/gtest.h>
#include <poll.h>

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

TEST(Watchdog, OneLongEntryGivesWay) {
  std::function<void()> expired = [] {};
  const uint64_t before = Turns::given();
  watched().watchdog.enter(60'000 * kMillisecond, expired);
  const std::clock_t begun = std::clock();
  while (Turns::given() < before + 5 && std::clock() - begun < 20 * CLOCKS_PER_SEC) {
  }
  watched().watchdog.leave();
  EXPECT_GE(Turns::given(), before + 5);
}

TEST(Watchdog, ManyShortEntriesGiveWayToo) {
  std::function<void()> expired = [] {};
  std::atomic<bool> never{false};
  const uint64_t before = Turns::given();
  for (int i = 0; i < 10'000 && Turns::given() < before + 20; ++i) {
    watched().watchdog.enter(1000 * kMillisecond, expired);
    spin_until(never, CLOCKS_PER_SEC / 2000);
    watched().watchdog.leave();
  }
  EXPECT_GE(Turns::given(), before + 20);
}

TEST(Watchdog, CodeThatBlocksIsNotInterruptedForLong) {
  std::function<void()> expired = [] {};
  std::atomic<bool> never{false};
  watched().watchdog.enter(60'000 * kMillisecond, expired);
  spin_until(never, CLOCKS_PER_SEC / 50);
  const timespec while_it_stands{.tv_sec = 0, .tv_nsec = 50'000'000};
  int interrupted = 0;
  while (interrupted < 10'000 && ppoll(nullptr, 0, &while_it_stands, nullptr) != 0) ++interrupted;
  EXPECT_LT(interrupted, 10'000);
  watched().watchdog.leave();
}

TEST(Watchdog, WakesWhenCodeRunsAfterALongRest) {
  const timespec between{.tv_sec = 0, .tv_nsec = 1'000'000};
  while (!watched().watchdog.is_resting()) ppoll(nullptr, 0, &between, nullptr);  // who computes is watched on
  std::atomic<bool> told{false};
  std::function<void()> expired = [&told] { told = true; };
  watched().watchdog.enter(5 * kMillisecond, expired);
  EXPECT_TRUE(spin_until(told, 20 * CLOCKS_PER_SEC));
  watched().watchdog.leave();
}

}  // namespace
}  // namespace verge::workers
