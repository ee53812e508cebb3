#include "cache/site.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

TEST(SiteTable, TheNearestName) {
  const SiteTable sites({{.hosts = {"a.example"}}, {.hosts = {"*.a.example"}}, {.hosts = {"*.b.a.example", "*"}}});
  EXPECT_EQ(sites.find("a.example"), 0U);
  EXPECT_EQ(sites.find("A.Example.:8080"), 0U);
  EXPECT_EQ(sites.find("x.a.example"), 1U);
  EXPECT_EQ(sites.find("y.x.a.example:80"), 1U);
  EXPECT_EQ(sites.find("c.b.a.example"), 2U);
  EXPECT_EQ(sites.find("other"), 2U);
  EXPECT_EQ(sites.find(""), 2U);
  EXPECT_EQ(sites.find("[::1]:8080"), 2U);
  EXPECT_EQ(SiteTable({{.hosts = {"a"}}}).find("b"), SiteTable::kNone);
}

}  // namespace
}  // namespace verge::cache
