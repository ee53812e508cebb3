#include "base/lazy_deque.h"

#include <algorithm>
#include <ranges>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge {
namespace {

TEST(LazyDeque, IsEmptyAndHasAnEmptyRange) {
  LazyDeque<int> queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.begin(), queue.end());
  EXPECT_EQ(std::ranges::find(queue, 1), queue.end());
  EXPECT_EQ(std::ranges::lower_bound(queue, 1), queue.end());
  EXPECT_EQ(queue.erase_if([](int) { return true; }), 0U);
  for ([[maybe_unused]] const int each : std::views::reverse(std::as_const(queue))) ADD_FAILURE();
  queue.give_back();
  EXPECT_TRUE(queue.empty());
}

TEST(LazyDeque, DoesWhatADequeDoes) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  LazyDeque<int> queue;
  std::deque<int> expected;
  for (int i = 0; i < 5000; ++i) {
    switch (random.below(6)) {
      case 0:
        if (!expected.empty()) queue.pop_front(), expected.pop_front();
        break;
      case 1:
        if (!expected.empty()) queue.pop_back(), expected.pop_back();
        break;
      case 2:
        if (!expected.empty()) {
          const auto place = static_cast<std::ptrdiff_t>(random.below(expected.size()));
          queue.erase(queue.begin() + place);
          expected.erase(expected.begin() + place);
        }
        break;
      case 3:
        queue.give_back();
        break;
      default:
        queue.push_back(i);
        expected.push_back(i);
    }
    if (random.below(100) == 0) {
      const auto is_odd = [](int each) { return each % 2 == 1; };
      EXPECT_EQ(queue.erase_if(is_odd), std::erase_if(expected, is_odd));
    }
    ASSERT_TRUE(std::ranges::equal(std::as_const(queue), expected));
    ASSERT_EQ(queue.size(), expected.size());
    if (!expected.empty()) ASSERT_TRUE(queue.front() == expected.front() && queue.back() == expected.back());
  }
}

}  // namespace
}  // namespace verge
