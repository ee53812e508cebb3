#include "base/interval_set.h"

#include <set>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge {
namespace {

TEST(IntervalSet, AgreesWithASetOfNumbers) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  IntervalSet intervals;
  std::set<uint64_t> numbers;
  for (int round = 0; round < 5000; ++round) {
    const uint64_t value = random.below(60);
    switch (random.below(5)) {
      case 0:
        intervals.erase(value);
        numbers.erase(value);
        break;
      case 1: {
        const uint64_t end = value + random.below(4);
        intervals.insert({value, end});
        for (uint64_t i = value; i < end; ++i) numbers.insert(i);
        break;
      }
      default:
        ASSERT_EQ(intervals.insert(value), numbers.insert(value).second);
    }
    for (uint64_t i = 0; i < 64; ++i) ASSERT_EQ(intervals.contains(i), numbers.contains(i)) << i;
    uint64_t previous_end = 0;
    bool first = true;
    for (const auto& [begin, end] : intervals.intervals()) {
      ASSERT_LT(begin, end);
      if (!first) ASSERT_GT(begin, previous_end);
      previous_end = end;
      first = false;
    }
  }
}

TEST(IntervalSet, InOrderIsOneInterval) {
  IntervalSet intervals;
  for (uint64_t i = 1; i < 10'000; ++i) EXPECT_TRUE(intervals.insert(i));
  intervals.raise_floor(5000);
  EXPECT_EQ(intervals.intervals(), (std::vector<IntervalSet::Interval>{{0, 10'000}}));
}

}  // namespace
}  // namespace verge
