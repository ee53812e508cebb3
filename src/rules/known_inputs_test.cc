// Which messages were taken, within bounds.
#include "rules/known_inputs.h"

#include <string>

#include <gtest/gtest.h>

namespace verge::rules {
namespace {

TEST(KnownInputs, TakesEachNumberOnce) {
  KnownInputs known;
  EXPECT_TRUE(known.enter("a", 7));
  EXPECT_FALSE(known.enter("a", 7));
  EXPECT_TRUE(known.enter("b", 7));
  EXPECT_TRUE(known.enter("a", 6));
}

// Every second message goes elsewhere.
TEST(KnownInputs, KnowsWhatADeviceHasUnderWayThoughHalfOfItWentElsewhere) {
  KnownInputs known;
  for (uint64_t number = 0; number < 10'000; number += 2) ASSERT_TRUE(known.enter("a", number));
  for (uint64_t number = 9'998; number >= 9'000; number -= 2) ASSERT_FALSE(known.enter("a", number)) << number;
  EXPECT_LE(known.stretches(), KnownInputs::kStretchesMax);
}

TEST(KnownInputs, AllTogetherAreBoundedAndTheLongestUnheardOfGoFirst) {
  KnownInputs known;
  for (int source = 0; source < 400; ++source) {
    for (uint64_t number = 0; number < 1'000; number += 2) known.enter("s" + std::to_string(source), number);
  }
  EXPECT_LE(known.stretches(), KnownInputs::kStretchesTotalMax);
  EXPECT_FALSE(known.enter("s399", 998));
  EXPECT_TRUE(known.enter("s0", 998));
}

TEST(KnownInputs, AreTheSameAfterWritingAndReading) {
  KnownInputs known;
  for (uint64_t number = 0; number < 3'000; number += 3) known.enter("a", number);
  known.enter("b", 5);
  std::string bytes;
  known.append_to(bytes);
  KnownInputs again;
  ByteReader in(bytes);
  ASSERT_TRUE(again.read(in));
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(again.stretches(), known.stretches());
  std::string same;
  again.append_to(same);
  EXPECT_EQ(same, bytes);
  EXPECT_FALSE(again.enter("a", 2'997));
  EXPECT_TRUE(again.enter("a", 2'998));
}

}  // namespace
}  // namespace verge::rules
