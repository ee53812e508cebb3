#include "mqtt/receipts.h"

#include <gtest/gtest.h>

namespace verge::mqtt {
namespace {

using State = Receipts::State;

AckTicket ticket(uint64_t connection, uint64_t number) { return {.connection = connection, .number = number}; }

TEST(Receipts, AnIdentifierCountsFromItsMessageToItsRelease) {
  Receipts receipts;
  EXPECT_EQ(receipts.state(7), State::kNone);
  receipts.begin(7, ticket(1, 1));
  EXPECT_EQ(receipts.state(7), State::kAwaited);
  EXPECT_FALSE(receipts.settle(7, ticket(1, 1), /*kept=*/true));
  EXPECT_EQ(receipts.state(7), State::kKept);
  EXPECT_EQ(receipts.awaited(), 0U);
  EXPECT_TRUE(receipts.release(7));
  EXPECT_EQ(receipts.state(7), State::kNone);
  EXPECT_FALSE(receipts.release(7));
}

TEST(Receipts, WhatWasRefusedIsNewWhenItComesAgain) {
  Receipts receipts;
  receipts.begin(7, ticket(1, 1));
  receipts.settle(7, ticket(1, 1), /*kept=*/false);
  EXPECT_EQ(receipts.state(7), State::kNone);
}

TEST(Receipts, ARepetitionOnAnotherConnectionWaitsForTheSameAnswer) {
  Receipts receipts;
  receipts.begin(7, ticket(1, 5));
  receipts.repeat(7, ticket(2, 1));
  receipts.repeat(7, ticket(3, 1));
  const std::optional<AckTicket> repeated = receipts.settle(7, ticket(1, 5), /*kept=*/true);
  if (!repeated) FAIL() << "the repetition waits";
  EXPECT_EQ(repeated->connection, 3U);
  EXPECT_FALSE(receipts.settle(7, *repeated, /*kept=*/false)) << "it has been settled";
  EXPECT_EQ(receipts.state(7), State::kKept);
}

TEST(Receipts, AnAnswerToAnEarlierMessageOfTheIdentifierIsNotForTheNext) {
  Receipts receipts;
  receipts.begin(7, ticket(1, 1));
  receipts.begin(7, ticket(1, 3));
  EXPECT_FALSE(receipts.settle(7, ticket(1, 1), /*kept=*/false));
  EXPECT_EQ(receipts.state(7), State::kAwaited);
  receipts.settle(7, ticket(1, 3), /*kept=*/true);
  receipts.begin(7, ticket(2, 1));
  EXPECT_EQ(receipts.state(7), State::kAwaited) << "released, and named again before the release was answered";
  EXPECT_EQ(receipts.awaited_of(2), (std::vector<std::pair<uint64_t, uint16_t>>{{1, 7}}));
  EXPECT_TRUE(receipts.awaited_of(1).empty());
}

TEST(Receipts, AllIdentifiersAtOnce) {
  Receipts receipts;
  for (uint32_t id = 1; id <= 65535; ++id) {
    receipts.begin(static_cast<uint16_t>(id), ticket(1, id));
    receipts.settle(static_cast<uint16_t>(id), ticket(1, id), /*kept=*/true);
  }
  for (uint32_t id = 65535; id >= 1; --id) {
    ASSERT_EQ(receipts.state(static_cast<uint16_t>(id)), State::kKept) << id;
    ASSERT_TRUE(receipts.release(static_cast<uint16_t>(id)));
    ASSERT_EQ(receipts.state(static_cast<uint16_t>(id)), State::kNone) << id;
  }
}

}  // namespace
}  // namespace verge::mqtt
