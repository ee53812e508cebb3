#include "cache/redirect.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

std::string to(std::string_view target, std::string_view path, std::string_view rest = "", std::string_view query = "",
               bool keeps_query = true) {
  return redirect_target({.status = 301, .target = std::string(target), .keeps_query = keeps_query},
                         "Www.Example.com:8080", path, {.rest = rest, .filled = {"one", "two"}}, query);
}

TEST(Redirect, FillsInParts) {
  EXPECT_EQ(to("https://${host}${path}", "/a b", "", "x=1"), "https://www.example.com/a%20b?x=1");
  EXPECT_EQ(to("/new/${rest}", "/old/x", "x", "q", false), "/new/x");
  EXPECT_EQ(to("/${2}/${1}?a=b", "/", "", "c=d"), "/two/one?a=b&c=d");
}

TEST(Redirect, ClientsCannotChangeTheHostOrTheField) {
  EXPECT_EQ(to("/${rest}", "/x//evil.example", "/evil.example"), "/evil.example");
  EXPECT_EQ(to("/${rest}", "/x", "\r\nSet-Cookie: a=b"), "/%0D%0ASet-Cookie:%20a=b");
  EXPECT_EQ(to("/a", "/", "", "a\tb"), "/a?a%09b");
}

TEST(Redirect, ChecksTargets) {
  EXPECT_TRUE(check_redirect_target("https://${host}${path}"));
  EXPECT_TRUE(check_redirect_target("/x/${1}"));
  EXPECT_FALSE(check_redirect_target("www.example.com/"));
  EXPECT_FALSE(check_redirect_target("https://"));
  EXPECT_FALSE(check_redirect_target("/a b"));
  EXPECT_FALSE(check_redirect_target("/${path"));
  const Result<void> wrong = check_redirect_target("/${pth}");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().fix, "did you mean ${path}?");
}

}  // namespace
}  // namespace verge::cache
