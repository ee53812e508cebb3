#include "cache/freshness.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using Fields = std::vector<net::HttpField>;
constexpr int64_t kNowMs = 1'700'000'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT
constexpr std::string_view kNowDate = "Tue, 14 Nov 2023 22:13:20 GMT";
constexpr std::string_view kDayBefore = "Mon, 13 Nov 2023 22:13:20 GMT";

Freshness freshness(const Fields& fields, const StoragePolicy& policy = {}, int status = 200, Seconds delay = 0) {
  const auto targeted = parse_targeted_cache_control(fields);
  return freshness_of(status, fields, targeted ? *targeted : parse_cache_control(fields), targeted.has_value(),
                      {kNowMs - delay * 1000, kNowMs}, policy);
}
StorageVerdict storage(const Fields& fields, const Fields& request = {}, int status = 200,
                       std::string_view method = "GET") {
  const auto targeted = parse_targeted_cache_control(fields);
  const CacheControl control = targeted ? *targeted : parse_cache_control(fields);
  return may_store(method, request, parse_cache_control(request), status, fields, control,
                   freshness(fields, {}, status));
}

TEST(Freshness, WhatGivesTheLifetime) {
  EXPECT_EQ(freshness({{"Cache-Control", "max-age=60, s-maxage=120"}}).lifetime, 120);
  EXPECT_EQ(freshness({{"Cache-Control", "max-age=60"}, {"Expires", "0"}}).lifetime, 60);
  EXPECT_EQ(freshness({{"Date", kDayBefore}, {"Expires", kNowDate}}).lifetime, 86'400);
  EXPECT_EQ(freshness({{"Expires", "0"}}).source, LifetimeSource::kExpires);
  EXPECT_EQ(freshness({{"Expires", kNowDate}, {"Expires", kNowDate}}).lifetime, 0);
  EXPECT_EQ(freshness({{"Last-Modified", kDayBefore}}).lifetime, 8640);
  EXPECT_EQ(freshness({{"Last-Modified", kDayBefore}}, {}, 403).lifetime, 0) << "no heuristics for this status";
  EXPECT_EQ(freshness({{"Last-Modified", "Mon, 13 Nov 1995 22:13:20 GMT"}}).lifetime, kHeuristicMax);
  EXPECT_EQ(freshness({}).source, LifetimeSource::kNone) << "no default unless the site says one";
  EXPECT_EQ(freshness({}, {.default_ttl = 30}).lifetime, 30);
  EXPECT_EQ(freshness({{"Cache-Control", "max-age=60"}}, {.override_ttl = 5}).lifetime, 5);
  const Fields both = {{"Cache-Control", "no-store, max-age=1"}, {"CDN-Cache-Control", "max-age=7"}, {"Expires", "0"}};
  EXPECT_EQ(freshness(both).lifetime, 7);
  EXPECT_EQ(freshness(both).source, LifetimeSource::kTargeted);
}

TEST(Freshness, Age) {
  EXPECT_EQ(freshness({{"Age", "30"}}).initial_age, 30);
  EXPECT_EQ(freshness({{"Age", "30"}}, {}, 200, 4).initial_age, 34) << "the exchange itself counts";
  EXPECT_EQ(freshness({{"Age", "30"}, {"Date", kDayBefore}}).initial_age, 86'400);
  EXPECT_EQ(freshness({{"Age", "7200, 0"}}).initial_age, 7200);
  EXPECT_EQ(freshness({{"Age", "0, 7200"}}).initial_age, 0);
  for (const std::string_view age : {"abc", "-7200", "7200.0", "7200;foo=bar", ""}) {
    EXPECT_EQ(freshness({{"Age", age}}).initial_age, 0) << age;
  }
  EXPECT_EQ(freshness({}).age(kNowMs + 2999), 2);
  EXPECT_EQ(freshness({}).age(kNowMs - 5000), 0) << "the clock went back";
}

TEST(Storage, WhatMayBeStored) {
  EXPECT_TRUE(storage({{"Cache-Control", "max-age=60"}}).stores);
  EXPECT_TRUE(storage({{"ETag", "\"a\""}}).stores) << "to be validated";
  EXPECT_TRUE(storage({{"Cache-Control", "no-cache"}, {"ETag", "\"a\""}}).stores);
  EXPECT_FALSE(storage({}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=0"}}).stores) << "of no use";
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60, no-store"}}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60, private"}}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60"}, {"Vary", "a, *"}}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60"}}, {{"Cache-Control", "no-store"}}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60"}}, {}, 200, "POST").stores);
  EXPECT_TRUE(storage({{"Cache-Control", "no-store"}, {"CDN-Cache-Control", "max-age=60"}}).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60"}, {"CDN-Cache-Control", "no-store"}}).stores);
}

TEST(Storage, StatusesAndMustUnderstand) {
  EXPECT_TRUE(storage({{"Cache-Control", "max-age=60"}}, {}, 599).stores);
  EXPECT_FALSE(storage({{"Last-Modified", kDayBefore}}, {}, 503).stores);
  EXPECT_TRUE(storage({{"Last-Modified", kDayBefore}, {"Cache-Control", "public"}}, {}, 599).stores);
  EXPECT_TRUE(storage({{"Cache-Control", "max-age=60, no-store, must-understand"}}, {}, 200).stores);
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60, no-store, must-understand"}}, {}, 599).stores);
}

TEST(Storage, Authorization) {
  const Fields request = {{"Authorization", "Bearer x"}};
  EXPECT_FALSE(storage({{"Cache-Control", "max-age=60"}}, request).stores);
  for (const std::string_view allows : {"max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"}) {
    EXPECT_TRUE(storage({{"Cache-Control", allows}}, request).stores) << allows;
  }
}

TEST(Use, FreshStaleAndWhatTheRequestSays) {
  const auto use = [](std::string_view answer, std::string_view request, Seconds later, bool softly_purged = false) {
    const CacheControl wants = parse_cache_control(Fields{{"Cache-Control", request}});
    return may_use(freshness({{"Cache-Control", answer}}), wants, softly_purged, kNowMs + later * 1000).use;
  };
  EXPECT_EQ(use("max-age=60", "", 59), Use::kFresh);
  EXPECT_EQ(use("max-age=60", "", 60), Use::kValidate);
  EXPECT_EQ(use("max-age=60, stale-while-revalidate=10", "", 69), Use::kStaleWhileRevalidating);
  EXPECT_EQ(use("max-age=60, stale-while-revalidate=10", "", 70), Use::kValidate);
  EXPECT_EQ(use("max-age=60, stale-while-revalidate=10, must-revalidate", "", 61), Use::kValidate);
  EXPECT_EQ(use("max-age=60, stale-while-revalidate=10", "", 1, true), Use::kStaleWhileRevalidating);
  EXPECT_EQ(use("max-age=60", "", 1, true), Use::kValidate);
  EXPECT_EQ(use("max-age=60, no-cache", "", 1), Use::kValidate);
  EXPECT_EQ(use("max-age=60", "no-cache", 1), Use::kValidate);
  EXPECT_EQ(use("max-age=60", "max-age=5", 6), Use::kValidate);
  EXPECT_EQ(use("max-age=60", "max-age=5", 5), Use::kFresh);
  EXPECT_EQ(use("max-age=60", "min-fresh=20", 41), Use::kValidate);
  EXPECT_EQ(use("max-age=60", "max-stale=20", 80), Use::kFresh);
  EXPECT_EQ(use("max-age=60", "max-stale=20", 81), Use::kValidate);
  EXPECT_EQ(use("max-age=60", "max-stale", 8100), Use::kFresh);
  EXPECT_EQ(use("s-maxage=60", "max-stale", 61), Use::kValidate);
}

TEST(Use, OnError) {
  const auto use = [](std::string_view answer, std::string_view request, Seconds later,
                      const StoragePolicy& policy = {}) {
    const CacheControl wants = parse_cache_control(Fields{{"Cache-Control", request}});
    return may_use_on_error(freshness({{"Cache-Control", answer}}, policy), wants, kNowMs + later * 1000);
  };
  EXPECT_FALSE(use("max-age=60", "", 61));
  EXPECT_TRUE(use("max-age=60, stale-if-error=10", "", 69));
  EXPECT_FALSE(use("max-age=60, stale-if-error=10", "", 70));
  EXPECT_TRUE(use("max-age=60", "stale-if-error=10", 69));
  EXPECT_TRUE(use("max-age=60", "", 3000, {.stale_if_error = 86'400}));
  EXPECT_FALSE(use("max-age=60, must-revalidate", "", 3000, {.stale_if_error = 86'400}));
}

}  // namespace
}  // namespace verge::cache
