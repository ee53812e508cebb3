#include "node/position.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::node {
namespace {

TEST(Position, IsReadInDegreesAndByName) {
  const auto at = tests::value_of(parse_position(" 51.5 , -11.97 "));
  EXPECT_EQ(at.latitude, 51.5);
  EXPECT_EQ(at.longitude, -11.97);
  EXPECT_NEAR(tests::value_of(parse_position("London")).latitude, 51.5, 0.5);
  for (const char* bad : {"", "51.5", "91, 0", "0, 181", "a, b", "nan, 0", "1, 2, 3", "Atlantis"}) {
    EXPECT_FALSE(parse_position(bad)) << bad;
  }
}

}  // namespace
}  // namespace verge::node
