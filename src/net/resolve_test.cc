#include "net/resolve.h"

#include <gtest/gtest.h>

namespace verge::net {
namespace {

TEST(ResolveAll, NumbersStandForThemselves) {
  for (const std::string_view text : {"127.0.0.1:80", "[::1]:443"}) {
    const auto addresses = resolve_all(text);
    ASSERT_TRUE(addresses) << text;
    ASSERT_EQ(addresses->size(), 1U);
    EXPECT_EQ(addresses->front().text(), text);
    EXPECT_FALSE(is_name(text));
  }
  EXPECT_FALSE(is_name("localhost:80"));
  EXPECT_TRUE(is_name("origin.example:80"));
}

TEST(ResolveAll, WhatCannotBeResolvedSaysWhy) {
  EXPECT_EQ(resolve_all("name.invalid:80").error().code, "net.resolve");
  EXPECT_EQ(resolve_all("name").error().code, "net.address");
  EXPECT_EQ(resolve_all("name:99999").error().code, "net.address");
}

}  // namespace
}  // namespace verge::net
