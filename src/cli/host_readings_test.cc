#include "cli/host_readings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::cli {
namespace {

using tests::value_of;

TEST(HostReadings, CpuCountsIdleAndWaitAsNotBusy) {
  const CpuTicks ticks = value_of(parse_cpu("cpu  96651 10219 12963 560404 768 5 201 2107 0 0\ncpu0 1 2 3\n"));
  EXPECT_EQ(ticks.total, 96651U + 10219 + 12963 + 560404 + 768 + 5 + 201 + 2107);
  EXPECT_EQ(ticks.busy, ticks.total - 560404 - 768);
  EXPECT_FALSE(parse_cpu("cpu0 1 2 3"));
  EXPECT_FALSE(parse_cpu("cpu 1 2 3\n"));
  EXPECT_FALSE(parse_cpu(""));
}

TEST(HostReadings, MemoryUsed) {
  EXPECT_DOUBLE_EQ(value_of(parse_memory_used("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   250 kB\n")), 0.75);
  EXPECT_FALSE(parse_memory_used("MemTotal: 1000 kB\n"));
  EXPECT_FALSE(parse_memory_used(""));
}

TEST(HostReadings, NetworkLeavesTheLoopbackOut) {
  const NetworkBytes bytes = parse_network(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
      "    lo: 1312384600   52864    0    0    0     0          0         0 1312384600   52864    0 0 0 0 0 0\n"
      "  eth0:100 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n"
      "  eth1:    11 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0");
  EXPECT_EQ(bytes.received, 111);
  EXPECT_EQ(bytes.sent, 42);
}

TEST(HostReadings, ReadsThisMachine) {
  HostReadings readings;
  const MonotonicTime now = std::chrono::steady_clock::now();
  EXPECT_THAT(readings.read(now), testing::StartsWith(R"({"cpu":0.000,"memory":0.)"));
  EXPECT_THAT(readings.read(now + std::chrono::seconds(1)), testing::HasSubstr(R"("sent_bytes_s":)"));
  EXPECT_FALSE(host_topic_level().empty());
}

}  // namespace
}  // namespace verge::cli
