#include "series/information.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "series/state.h"

namespace verge::series {
namespace {

TEST(Information, OfHandComputedWindows) {
  EXPECT_EQ(information(std::vector<double>{}), 0);
  EXPECT_EQ(information(std::vector<double>{5, 5, 5, 5}), 0);
  // Two values, evenly: one bit of eight.
  EXPECT_DOUBLE_EQ(information(std::vector<double>{1, 2, 1, 2}), 1.0 / 8);
  // Shares 1/2, 1/4, 1/4: a bit and a half.
  EXPECT_DOUBLE_EQ(information(std::vector<double>{0, 0, 10, 5}), 1.5 / 8);
  // Shares 3/4 and 1/4: 0.811278 bits.
  EXPECT_NEAR(information(std::vector<double>{1, 1, 1, 9}), 0.8112781244591328 / 8, 1e-15);
}

TEST(Information, Is1WhereEveryBinIsHitEqually) {
  std::vector<double> values;
  for (int i = 0; i < 256; ++i) values.insert(values.end(), 2, i);
  EXPECT_DOUBLE_EQ(information(values), 1);
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_DOUBLE_EQ(information(bytes), 1);
  EXPECT_DOUBLE_EQ(information("abab"), 1.0 / 8);
  EXPECT_EQ(information(""), 0);
}

TEST(Information, LeavesOutWhatIsNotFiniteAndTakesTheLargestNumbers) {
  EXPECT_DOUBLE_EQ(information(std::vector<double>{1, std::nan(""), 2, HUGE_VAL}), 1.0 / 8);
  EXPECT_DOUBLE_EQ(information(std::vector<double>{-1.7e308, 1.7e308}), 1.0 / 8);
}

TEST(InformationWindow, AnswersForItsLastReadings) {
  InformationWindow window(4);
  for (const double value : {9.0, 8.0, 1.0, 2.0, 1.0}) window.add(value);
  EXPECT_DOUBLE_EQ(window.add(2), 1.0 / 8);
  InformationWindow other(4);
  ASSERT_TRUE(load_state(save_state(window), other));
  EXPECT_EQ(other.add(1), window.add(1));
}

}  // namespace
}  // namespace verge::series
