#include "runtime/scheduling.h"

#include <thread>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

namespace verge::runtime {
namespace {

bool is_allowed() {
  rlimit limit{};
  const sched_param priority{.sched_priority = 1};
  const bool allowed = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
  const sched_param ordinary{.sched_priority = 0};
  sched_setscheduler(0, SCHED_OTHER, &ordinary);
  return allowed || (getrlimit(RLIMIT_RTPRIO, &limit) == 0 && limit.rlim_cur > 0);
}

TEST(Scheduling, ARealtimeThreadHasOneCoreAndStartsOrdinaryThreads) {
  bool allowed = false;
  std::thread([&] { allowed = is_allowed(); }).join();
  std::thread([&] {
    const Result<void> done = become_realtime(0);
    if (!allowed) {
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, "runtime.realtime");
      EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
      return;
    }
    ASSERT_TRUE(done) << done.error().line();
    EXPECT_EQ(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_FIFO);
    cpu_set_t own;
    ASSERT_EQ(sched_getaffinity(0, sizeof(own), &own), 0);
    EXPECT_EQ(CPU_COUNT(&own), 1);
    int started = -1;
    std::thread([&] { started = sched_getscheduler(0); }).join();
    EXPECT_EQ(started, SCHED_OTHER);
  }).join();
}

TEST(Scheduling, NeighboursHaveCoresOfTheirOwn) {
  cpu_set_t cores[2];
  for (size_t index = 0; index < 2; ++index) {
    std::thread([&] {
      static_cast<void>(become_realtime(index));
      ASSERT_EQ(sched_getaffinity(0, sizeof(cores[index]), &cores[index]), 0);
    }).join();
  }
  if (CPU_COUNT(&cores[0]) != 1 || std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "not allowed here";
  EXPECT_FALSE(CPU_EQUAL(&cores[0], &cores[1]));
}

}  // namespace
}  // namespace verge::runtime
