#include "mqtt/pace.h"

#include <gtest/gtest.h>

namespace verge::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonotonicTime kStart = MonotonicTime(seconds(1000));

TEST(Pace, LetsASecondsWorthComeAtOnce) {
  Pace pace;
  pace.take(10, 10, kStart);
  EXPECT_LE(pace.due(), kStart);
  pace.take(1, 10, kStart);
  EXPECT_EQ(pace.due(), kStart + milliseconds(100));
}

TEST(Pace, IsKeptOverAnyTime) {
  Pace pace;
  MonotonicTime now = kStart;
  uint64_t came = 0;
  while (now < kStart + seconds(60)) {
    pace.take(3, 50, now);
    came += 3;
    now = std::max(now + milliseconds(1), pace.due());
  }
  EXPECT_GE(came, 60 * 50);
  EXPECT_LE(came, 61 * 50 + 3);
}

TEST(Pace, DoesNotSaveUpMoreThanTheBurst) {
  Pace pace;
  pace.take(1, 10, kStart);
  pace.take(10, 10, kStart + seconds(3600));
  EXPECT_LE(pace.due(), kStart + seconds(3600));
  pace.take(1, 10, kStart + seconds(3600));
  EXPECT_GT(pace.due(), kStart + seconds(3600));
}

TEST(Pace, OfNothingIsAny) {
  Pace pace;
  pace.take(UINT64_MAX, 0, kStart);
  EXPECT_LE(pace.due(), kStart);
}

// However much comes at once: it is owed, and nothing wraps around.
TEST(Pace, OwesWhatIsLargerThanTheBurst) {
  Pace pace;
  pace.take(1U << 20, 1024, kStart);
  EXPECT_EQ(pace.due(), kStart + seconds(1023));
}

}  // namespace
}  // namespace verge::mqtt
