#include "jetstream/known_set.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::jetstream {
namespace {

using tests::value_of;

TEST(KnownSet, ReadsWhatItWrites) {
  IntervalSet known;
  EXPECT_EQ(write_known(known), "");
  EXPECT_EQ(value_of(read_known("")).intervals(), known.intervals());
  known.insert({0, 1201});
  known.insert({1301, 1341});
  known.insert(9'000'000'000'000'000'000U);
  EXPECT_EQ(write_known(known), "0-1200,1301-1340,9000000000000000000");
  EXPECT_EQ(value_of(read_known(write_known(known))).intervals(), known.intervals());
}

TEST(KnownSet, RefusesAnythingElse) {
  for (const char* text : {"1-1", "01", "0-01", "1-", "-1", "2-1", "1-2,", ",1-2", "1-2 ,4-5", "1-2,2-3", "1-2,3-4",
                           "4-5,1-2", "1-2;4-5", "1-18446744073709551615", "1-99999999999999999999", "+1-2", "x"}) {
    EXPECT_FALSE(read_known(text).has_value()) << text;
  }
  EXPECT_TRUE(read_known("1-18446744073709551613").has_value());
}

TEST(KnownSet, HasABound) {
  IntervalSet known;
  for (uint64_t i = 0; i < kKnownRangesMax; ++i) known.insert(2 * i);
  EXPECT_TRUE(read_known(write_known(known)).has_value());
  known.insert(2 * kKnownRangesMax);
  EXPECT_FALSE(read_known(write_known(known)).has_value());
}

}  // namespace
}  // namespace verge::jetstream
