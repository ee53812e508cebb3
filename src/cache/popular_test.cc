#include "cache/popular.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

MonotonicTime at(Duration since_start) { return MonotonicTime(std::chrono::hours(1) + since_start); }

std::vector<Popular::Place> heaviest(const Popular& popular, size_t most) {
  std::unordered_map<std::string, uint64_t> weights;
  popular.add_to(weights);
  return Popular::heaviest(weights, most);
}

TEST(Popular, SeldomOnesDoNotDriveOutFrequentOnes) {
  Popular popular;
  Random random(7);
  Duration now{0};
  for (int i = 0; i < 20'000; ++i) {
    now += std::chrono::milliseconds(2);
    const bool frequent = random.below(4) == 0;
    popular.note(frequent ? "http://a/often" : "http://a/" + std::to_string(i), at(now));
  }
  std::unordered_map<std::string, uint64_t> weights;
  EXPECT_EQ(popular.add_to(weights), 20'000U);
  EXPECT_EQ(weights.size(), Popular::kPlaces);
  EXPECT_EQ(heaviest(popular, 1).front().key, "http://a/often");
  EXPECT_NEAR(static_cast<double>(heaviest(popular, 1).front().weight), 5'000, 300);
}

TEST(Popular, FollowsWhatChanges) {
  Popular popular;
  for (int i = 0; i < 100; ++i) popular.note("before", at(std::chrono::milliseconds(i)));
  for (int turn = 1; turn <= 4; ++turn) {
    for (int i = 0; i < 30; ++i) popular.note("now", at(turn * (Popular::kHalfLife + std::chrono::seconds(1))));
  }
  EXPECT_EQ(heaviest(popular, 1).front().key, "now");
}

TEST(Popular, TakesNoMoreTimeThanItsShare) {
  Popular popular;
  for (unsigned i = 0; i < 3 * Popular::kNotedASecond; ++i) popular.note("a", at(std::chrono::microseconds(i)));
  EXPECT_EQ(heaviest(popular, 1).front().weight, Popular::kNotedASecond);
  popular.note("a", at(std::chrono::seconds(2)));
  EXPECT_EQ(heaviest(popular, 1).front().weight, Popular::kNotedASecond + 1);
  popular.note(std::string(Popular::kKeyBytesMax + 1, 'x'), at(std::chrono::seconds(2)));
  EXPECT_EQ(heaviest(popular, 5).size(), 1U);
}

}  // namespace
}  // namespace verge::cache
