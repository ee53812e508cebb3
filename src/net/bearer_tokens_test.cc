#include "net/bearer_tokens.h"

#include <gtest/gtest.h>

namespace verge::net {
namespace {

TEST(BearerTokens, AcceptsThoseGivenAndNoOther) {
  const std::vector<std::string> given = {"first-token", "second"};
  const BearerTokens tokens(given);
  EXPECT_TRUE(tokens.accept("first-token"));
  EXPECT_TRUE(tokens.accept("second"));
  for (const char* other : {"", "first-toke", "first-token ", "FIRST-TOKEN", "third"}) {
    EXPECT_FALSE(tokens.accept(other)) << other;
  }
  EXPECT_FALSE(BearerTokens({}).accept(""));
  EXPECT_TRUE(BearerTokens({}).empty());
}

TEST(BearerTokens, AreReadFromTheField) {
  const auto token_of = [](std::string_view name, std::string_view value) {
    const std::vector<HttpField> fields = {{"Host", "x"}, {name, value}};
    return std::string(bearer_token(fields).value_or("none"));
  };
  EXPECT_EQ(token_of("Authorization", "Bearer abc"), "abc");
  EXPECT_EQ(token_of("authorization", "bearer  abc"), "abc");
  EXPECT_EQ(token_of("Authorization", "Basic abc"), "none");
  EXPECT_EQ(token_of("Authorization", "Bearer"), "none");
  EXPECT_EQ(token_of("Authorization", ""), "none");
  EXPECT_EQ(token_of("X-Authorization", "Bearer abc"), "none");
}

}  // namespace
}  // namespace verge::net
