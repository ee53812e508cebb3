#include "base/seldom_line.h"

#include <gtest/gtest.h>

namespace verge {
namespace {

using std::chrono::seconds;

TEST(SeldomLine, IsDueOncePeriodAndCountsTheOthers) {
  SeldomLine line(seconds(10));
  const MonotonicTime start{seconds(1)};
  EXPECT_EQ(line.due(start), 0U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(line.due(start + seconds(9)), std::nullopt);
  EXPECT_EQ(line.due(start + seconds(10)), 100U);
  EXPECT_EQ(line.due(start + seconds(19)), std::nullopt);
  EXPECT_EQ(line.due(start + seconds(60)), 1U);
}

}  // namespace
}  // namespace verge
