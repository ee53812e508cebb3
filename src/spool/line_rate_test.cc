#include "spool/line_rate.h"

#include <gtest/gtest.h>

namespace verge::spool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kMost = 1U << 20;

TEST(LineRate, BeginsCarefully) {
  LineRate line;
  EXPECT_EQ(line.compression_level(), 3);
  EXPECT_EQ(line.batch_bytes(kMost), 64U << 10);
  EXPECT_EQ(line.timeout(seconds(10), kMost), Duration(seconds(10)));
}

// Thresholds of the level: 100 KB/s and 1,000 KB/s.
TEST(LineRate, CompressesHarderTheSlowerTheLine) {
  for (const auto& [bytes_per_s, level] : {std::pair(50e3, 9), {150e3, 6}, {900e3, 6}, {5e6, 1}}) {
    LineRate line;
    line.measure(100'000, 10'000,
                 std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1e4 / bytes_per_s)),
                 milliseconds(1));
    EXPECT_EQ(line.compression_level(), level) << bytes_per_s;
  }
}

TEST(LineRate, CompressesLessWhereTheProcessorIsBusy) {
  LineRate line;
  for (int i = 0; i < 20; ++i) line.measure(50'000, 50'000, seconds(1), seconds(2));
  EXPECT_EQ(line.compression_level(), 1);
  for (int i = 0; i < 20; ++i) line.measure(50'000, 50'000, seconds(1), milliseconds(10));
  EXPECT_EQ(line.compression_level(), 9) << "and harder again once it is free";
}

TEST(LineRate, SendsWhatTheLineTakesInFourSeconds) {
  LineRate line;
  for (int i = 0; i < 30; ++i) line.measure(64'000, 64'000, seconds(1), milliseconds(1));
  EXPECT_NEAR(static_cast<double>(line.batch_bytes(kMost)), 256e3, 1e3);
  for (int i = 0; i < 30; ++i) line.measure(1'000'000, 1'000'000, milliseconds(10), milliseconds(1));
  EXPECT_EQ(line.batch_bytes(kMost), kMost);
  for (int i = 0; i < 60; ++i) line.measure(4096, 4096, seconds(60), milliseconds(1));
  EXPECT_EQ(line.batch_bytes(kMost), 16U << 10);
}

// What compresses so well that the wire says nothing must not stay in small batches.
TEST(LineRate, GrowsWhereThereIsNothingToMeasure) {
  LineRate line;
  for (int i = 0; i < 4; ++i) line.measure(64'000, 1'000, milliseconds(5), milliseconds(1));
  EXPECT_EQ(line.batch_bytes(kMost), kMost);
  EXPECT_EQ(line.bytes_per_s(), 0);
}

// A line slower than was thought is found out by time-outs, each of which waits longer.
TEST(LineRate, WaitsLongerAfterATimeOut) {
  LineRate line;
  Duration before = line.timeout(seconds(10), 800'000);
  for (int i = 0; i < 4; ++i) {
    line.timed_out(800'000, before);
    const Duration next = line.timeout(seconds(10), 800'000);
    EXPECT_TRUE(next > before || next == Duration(seconds(610))) << next.count();
    before = next;
  }
  EXPECT_EQ(before, Duration(seconds(610))) << "and no longer than that";
}

}  // namespace
}  // namespace verge::spool
