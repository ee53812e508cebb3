#include "cache/url_reference.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

TEST(UrlReference, AgainstABase) {
  constexpr std::string_view kBase = "http://a/b/c/d?q";
  const auto resolved = [&](std::string_view reference) { return resolve_reference(kBase, reference); };
  // RFC 3986 section 5.4, as far as http goes.
  EXPECT_EQ(resolved("g"), "http://a/b/c/g");
  EXPECT_EQ(resolved("./g"), "http://a/b/c/g");
  EXPECT_EQ(resolved("g/"), "http://a/b/c/g/");
  EXPECT_EQ(resolved("/g"), "http://a/g");
  EXPECT_EQ(resolved("//g"), "http://g");
  EXPECT_EQ(resolved("?y"), "http://a/b/c/d?y");
  EXPECT_EQ(resolved("g?y"), "http://a/b/c/g?y");
  EXPECT_EQ(resolved("#s"), "http://a/b/c/d?q");
  EXPECT_EQ(resolved("g#s"), "http://a/b/c/g");
  EXPECT_EQ(resolved(""), "http://a/b/c/d?q");
  EXPECT_EQ(resolved("."), "http://a/b/c/");
  EXPECT_EQ(resolved(".."), "http://a/b/");
  EXPECT_EQ(resolved("../g"), "http://a/b/g");
  EXPECT_EQ(resolved("../../../../g"), "http://a/g");
  EXPECT_EQ(resolved("/./g/../h"), "http://a/h");
  EXPECT_EQ(resolved("http://x/y"), "http://x/y");
  EXPECT_EQ(resolve_reference("http://a", "g"), "http://a/g");
}

}  // namespace
}  // namespace verge::cache
