#include "cache/path_pattern.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::cache {
namespace {

using tests::value_of;

using Kind = PathPattern::Kind;

bool matches(Kind kind, std::string_view pattern, std::string_view path) {
  return match({.kind = kind, .text = std::string(pattern)}, path).has_value();
}

TEST(PathPattern, MatchesOnePathOrAPrefix) {
  EXPECT_TRUE(matches(Kind::kExact, "/a", "/a"));
  EXPECT_FALSE(matches(Kind::kExact, "/a", "/a/"));
  EXPECT_TRUE(matches(Kind::kPrefix, "/a/", "/a/b"));
  EXPECT_FALSE(matches(Kind::kPrefix, "/a/", "/ab"));
  EXPECT_EQ(value_of(match({.kind = Kind::kPrefix, .text = "/a/"}, "/a/b/c")).rest, "b/c");
}

TEST(PathPattern, MatchesGlobs) {
  EXPECT_TRUE(matches(Kind::kGlob, "/*.jpg", "/x.jpg"));
  EXPECT_FALSE(matches(Kind::kGlob, "/*.jpg", "/a/x.jpg"));
  EXPECT_TRUE(matches(Kind::kGlob, "/**.jpg", "/a/x.jpg"));
  EXPECT_TRUE(matches(Kind::kGlob, "/**/b/*/d", "/a/a/b/c/d"));
  EXPECT_FALSE(matches(Kind::kGlob, "/**/b/*/d", "/a/b/c/c/d"));
  EXPECT_TRUE(matches(Kind::kGlob, "/**/b/*/d", "/b/b/c/b/c/d")) << "the first b is not the one";
  EXPECT_TRUE(matches(Kind::kGlob, "/v?/", "/v2/"));
  EXPECT_FALSE(matches(Kind::kGlob, "/v?", "/v/"));
  EXPECT_TRUE(matches(Kind::kGlob, "/**", "/"));
  EXPECT_EQ(wildcards("/*/**/?"), 3U);
}

TEST(PathPattern, SaysWhatFilledTheWildcards) {
  const PathMatch found = value_of(match({.kind = Kind::kGlob, .text = "/*/x/**.v?"}, "/a/x/b/c.v1"));
  EXPECT_EQ(found.filled[0], "a");
  EXPECT_EQ(found.filled[1], "b/c");
  EXPECT_EQ(found.filled[2], "1");
}

TEST(PathPattern, ALongPathAndManyWildcardsTakeNoTime) {
  EXPECT_FALSE(matches(Kind::kGlob, "/**a**a**a**a**a**a**a**ab", "/" + std::string(8000, 'a')));
}

TEST(PlainPath, HasOneSpelling) {
  std::string scratch;
  const auto plain = [&](std::string_view path) { return std::string(plain_path(path, scratch)); };
  EXPECT_EQ(plain("/a/b"), "/a/b");
  EXPECT_EQ(plain("/%70rivate/x"), "/private/x");
  EXPECT_EQ(plain("/a/../private"), "/private");
  EXPECT_EQ(plain("/a/%2e%2e/private/"), "/private/");
  EXPECT_EQ(plain("//private"), "/private");
  EXPECT_EQ(plain("/a%2Fb"), "/a/b");
  EXPECT_EQ(plain("/../../.."), "/");
  EXPECT_EQ(plain("/a/."), "/a/");
  EXPECT_EQ(plain("/a/.."), "/");
  EXPECT_EQ(plain("/100%"), "/100%");
  EXPECT_EQ(plain("/.hidden"), "/.hidden");
  EXPECT_EQ(encode_path("/a b/\r\n%"), "/a%20b/%0D%0A%25");
}

}  // namespace
}  // namespace verge::cache
