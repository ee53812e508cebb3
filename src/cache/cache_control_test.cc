#include "cache/cache_control.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using Fields = std::vector<net::HttpField>;

CacheControl parsed(std::string_view text) { return parse_cache_control(Fields{{"Cache-Control", text}}); }

TEST(CacheControlField, Directives) {
  const CacheControl control = parsed("Max-Age=60, s-maxage=120, PUBLIC, must-revalidate, no-transform, x, y=\"z\"");
  EXPECT_EQ(control.max_age, 60);
  EXPECT_EQ(control.s_maxage, 120);
  EXPECT_TRUE(control.is_public && control.must_revalidate && control.no_transform);
  EXPECT_FALSE(control.no_store || control.no_cache || control.is_private);
  EXPECT_EQ(parsed("stale-while-revalidate=5,stale-if-error=7").stale_while_revalidate, 5);
  EXPECT_EQ(parsed("stale-while-revalidate=5,stale-if-error=7").stale_if_error, 7);
}

TEST(CacheControlField, ContradictionsMakeItStale) {
  EXPECT_EQ(parsed("max-age=1800, max-age=1").max_age, 1);
  EXPECT_EQ(parse_cache_control(Fields{{"cache-control", "max-age=1"}, {"CACHE-CONTROL", "max-age=1800"}}).max_age, 1);
  for (const std::string_view text : {"max-age", "max-age=", "max-age=-1", "max-age=a", "max-age='60'", "max-age=1.5",
                                      "max-age= 60", "max-age=60a"}) {
    EXPECT_EQ(parsed(text).max_age, 0) << text;
  }
  EXPECT_FALSE(parsed("max-age =60").max_age) << "no such directive";
}

TEST(CacheControlField, NumbersAndQuotes) {
  EXPECT_EQ(parsed("max-age=003600").max_age, 3600);
  EXPECT_EQ(parsed("max-age=\"3600\"").max_age, 3600);
  EXPECT_EQ(parsed("max-age=99999999999999999999").max_age, kSecondsMax);
  EXPECT_EQ(parsed("extension=\"max-age=3600\", max-age=1").max_age, 1);
  EXPECT_EQ(parsed("extension=\"a\\\", max-age=3600\", max-age=7").max_age, 7);
}

TEST(CacheControlField, FieldNames) {
  const CacheControl control = parsed("no-cache=\"A, b\", private=\"Set-Cookie\"");
  EXPECT_EQ(control.hidden_fields, (std::vector<std::string>{"a", "b", "set-cookie"}));
  EXPECT_FALSE(control.no_cache || control.is_private);
}

TEST(CacheControlField, OfRequests) {
  EXPECT_TRUE(parsed("max-stale").max_stale_any);
  EXPECT_EQ(parsed("max-stale=10, min-fresh=3, only-if-cached").max_stale, 10);
  EXPECT_EQ(parsed("max-stale=10, min-fresh=3").min_fresh, 3);
}

TEST(TargetedCacheControl, OnlyAsAStructuredField) {
  const auto targeted = [](std::string_view text) {
    return parse_targeted_cache_control(Fields{{"CDN-Cache-Control", text}});
  };
  EXPECT_EQ(targeted("max-age=60").value_or(CacheControl{}).max_age, 60);
  EXPECT_TRUE(targeted("no-store").value_or(CacheControl{}).no_store);
  EXPECT_FALSE(targeted("no-store=?0").value_or(CacheControl{}).no_store);
  EXPECT_EQ(targeted("max-age=99999999999").value_or(CacheControl{}).max_age, kSecondsMax);
  EXPECT_FALSE(targeted("max-age=60, &&&"));
  EXPECT_FALSE(targeted("max-age =60"));
  EXPECT_FALSE(targeted(""));
  EXPECT_FALSE(parse_targeted_cache_control(Fields{{"Cache-Control", "max-age=60"}}));
  EXPECT_FALSE(targeted("max-age=\"60\"").value_or(CacheControl{}).max_age);
}

}  // namespace
}  // namespace verge::cache
