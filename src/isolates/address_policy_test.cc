#include "isolates/address_policy.h"

#include <gtest/gtest.h>

namespace verge::isolates {
namespace {

net::Address address(std::string_view text) {
  const Result<net::Address> parsed = net::Address::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return *parsed;
}

TEST(AddressPolicy, WhatOnlyThisNetworkReachesIsPrivate) {
  for (const char* text :
       {"127.0.0.1:80", "127.9.9.9:80", "10.1.2.3:80", "172.16.0.1:80", "172.31.255.255:80", "192.168.1.1:80",
        "169.254.169.254:80", "100.64.0.1:80", "0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "[::1]:80",
        "[::]:80", "[fe80::1]:80", "[fd00::1]:80", "[::ffff:127.0.0.1]:80", "[::ffff:10.0.0.1]:80",
        "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80"}) {
    EXPECT_TRUE(is_private(address(text))) << text;
  }
}

TEST(AddressPolicy, TheRestIsNot) {
  for (const char* text :
       {"1.1.1.1:80", "172.32.0.1:80", "11.0.0.1:80", "[2606:4700::1111]:80", "[::ffff:1.1.1.1]:80"}) {
    EXPECT_FALSE(is_private(address(text))) << text;
  }
}

TEST(AddressPolicy, WhatIsAllowedMayBeReached) {
  AddressPolicy policy;
  EXPECT_TRUE(may_be_reached(policy, address("1.1.1.1:80")));
  EXPECT_FALSE(may_be_reached(policy, address("10.0.0.5:80")));
  policy.allowed.push_back(*net::Network::parse("10.0.0.0/24"));
  EXPECT_TRUE(may_be_reached(policy, address("10.0.0.5:80")));
  EXPECT_FALSE(may_be_reached(policy, address("10.0.1.5:80")));
  policy.allows_private = true;
  EXPECT_TRUE(may_be_reached(policy, address("127.0.0.1:80")));
}

}  // namespace
}  // namespace verge::isolates
