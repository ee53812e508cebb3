#include "net/body_room.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::net {
namespace {

Address at(std::string_view text) { return Address::parse(text).value(); }

TEST(BodyRoom, OneSenderLeavesRoomForOthers) {
  BodyRoom room(1000, 300);
  EXPECT_FALSE(room.take(at("10.0.0.1:1"), 300));
  EXPECT_TRUE(room.take(at("10.0.0.1:2"), 1).value_or("").contains("this address"));
  EXPECT_FALSE(room.take(at("10.0.0.2:1"), 300));
  room.give_back(at("10.0.0.1:1"), 1);
  EXPECT_FALSE(room.take(at("10.0.0.1:2"), 1));
}

TEST(BodyRoom, AllTogetherAreBounded) {
  BodyRoom room(1000, 600);
  EXPECT_FALSE(room.take(at("10.0.0.1:1"), 600));
  EXPECT_TRUE(room.take(at("10.0.0.2:1"), 401));
  EXPECT_FALSE(room.take(at("10.0.0.2:1"), 400));
  EXPECT_TRUE(room.take(at("10.0.0.3:1"), 1));
}

TEST(BodyRoom, ANetworkOfIpv6IsOneSender) {
  BodyRoom room(1000, 300);
  EXPECT_FALSE(room.take(at("[2001:db8:0:1::1]:1"), 300));
  EXPECT_TRUE(room.take(at("[2001:db8:0:1:ffff::2]:1"), 1));
  EXPECT_FALSE(room.take(at("[2001:db8:0:2::1]:1"), 300));
}

TEST(BodyRoom, WhatIsGivenBackIsThereAgain) {
  const uint64_t seed = 20261130;
  SCOPED_TRACE(seed);
  Random random(seed);
  BodyRoom room(1000, 400);
  const Address senders[] = {at("10.0.0.1:1"), at("10.0.0.2:1"), at("[::1]:1")};
  size_t held[3] = {};
  for (int step = 0; step < 10'000; ++step) {
    const size_t who = random.below(3);
    const size_t bytes = random.below(200);
    const size_t all = held[0] + held[1] + held[2];
    if (random.below(2) == 0) {
      const bool fits = held[who] + bytes <= 400 && all + bytes <= 1000;
      ASSERT_EQ(!room.take(senders[who], bytes).has_value(), fits);
      if (fits) held[who] += bytes;
    } else {
      const size_t given = std::min(bytes, held[who]);
      room.give_back(senders[who], given);
      held[who] -= given;
    }
  }
}

}  // namespace
}  // namespace verge::net
