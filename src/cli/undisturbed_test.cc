#include "cli/undisturbed.h"

#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using std::chrono::milliseconds;

TEST(UndisturbedTest, StolenTicksAreTheEighthFigureOfTheFirstLine) {
  EXPECT_EQ(parse_stolen_ticks("cpu  4222854 1424243 816570 2139685 18916 0 132170 155420 0 0\ncpu0 1 2"), 155420U);
  EXPECT_EQ(parse_stolen_ticks("cpu  1 2 3 4 5 6 7 8"), 8U);
  EXPECT_EQ(parse_stolen_ticks("cpu  1 2 3 4 5 6 7"), std::nullopt);  // before Linux 2.6.11
  EXPECT_EQ(parse_stolen_ticks("cpu  1 2 3 4 5 6 7 x"), std::nullopt);
  EXPECT_EQ(parse_stolen_ticks("intr 1 2 3 4 5 6 7 8 9"), std::nullopt);
  EXPECT_EQ(parse_stolen_ticks(""), std::nullopt);
}

TEST(UndisturbedTest, CountsAWindowWhenNothingWasStolenInItNorInTheOneBefore) {
  Undisturbed undisturbed;
  MonotonicTime now{};
  const auto window = [&](std::optional<uint64_t> stolen_at_its_end) {
    undisturbed.record(now, milliseconds(1));
    now += Undisturbed::kWindow / 2;
    undisturbed.close_window(now, stolen_at_its_end);
    return undisturbed.latency().count;
  };
  EXPECT_EQ(window(7), 0U);  // what was stolen before is not known
  EXPECT_EQ(window(7), 0U);  // quiet, the one before not known to be
  EXPECT_EQ(window(7), 1U);
  EXPECT_EQ(window(8), 1U);  // disturbed
  EXPECT_EQ(window(8), 1U);  // quiet after a disturbed one
  EXPECT_EQ(window(8), 2U);
  EXPECT_EQ(window(std::nullopt), 2U);  // not known
  EXPECT_EQ(window(std::nullopt), 2U);
}

}  // namespace
}  // namespace verge::cli
