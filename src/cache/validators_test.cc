#include "cache/validators.h"

#include <vector>

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using Fields = std::vector<net::HttpField>;
constexpr Seconds kNow = 1'700'000'000;
constexpr std::string_view kOld = "Mon, 13 Nov 2023 22:13:20 GMT", kNew = "Tue, 14 Nov 2023 22:13:20 GMT";

Precondition evaluated(const Fields& request, const Fields& stored) {
  return evaluate_preconditions(request, stored, kNow);
}

TEST(Validators, Comparison) {
  EXPECT_TRUE(weakly_equal("W/\"a\"", "\"a\""));
  EXPECT_FALSE(weakly_equal("\"a\"", "\"b\""));
  EXPECT_TRUE(strongly_equal("\"a\"", "\"a\""));
  EXPECT_FALSE(strongly_equal("W/\"a\"", "W/\"a\""));
  EXPECT_FALSE(weakly_equal("", "")) << "no tag is like no other";
}

TEST(Validators, IfNoneMatch) {
  const Fields stored = {{"ETag", "\"b\""}, {"Last-Modified", kOld}};
  EXPECT_EQ(evaluated({{"If-None-Match", "\"a\", W/\"b\""}}, stored), Precondition::kNotModified);
  EXPECT_EQ(evaluated({{"If-None-Match", "\"a\""}, {"if-none-match", "\"b\""}}, stored), Precondition::kNotModified);
  EXPECT_EQ(evaluated({{"If-None-Match", "*"}}, stored), Precondition::kNotModified);
  EXPECT_EQ(evaluated({{"If-None-Match", "\"a\""}}, stored), Precondition::kModified);
  EXPECT_EQ(evaluated({{"If-None-Match", "\"a\""}, {"If-Modified-Since", kNew}}, stored), Precondition::kModified)
      << "tags come first";
  EXPECT_EQ(evaluated({{"If-None-Match", "\"x,\"b\""}}, {{"ETag", "\"x,\""}}), Precondition::kModified);
  EXPECT_EQ(evaluated({{"If-None-Match", "\"x,y\""}}, {{"ETag", "\"x,y\""}}), Precondition::kNotModified);
}

TEST(Validators, IfModifiedSince) {
  const Fields stored = {{"Last-Modified", kOld}, {"Date", kNew}};
  EXPECT_EQ(evaluated({{"If-Modified-Since", kOld}}, stored), Precondition::kNotModified);
  EXPECT_EQ(evaluated({{"If-Modified-Since", kNew}}, stored), Precondition::kNotModified);
  EXPECT_EQ(evaluated({{"If-Modified-Since", kOld}}, {{"Last-Modified", kNew}}), Precondition::kModified);
  EXPECT_EQ(evaluated({{"If-Modified-Since", kOld}}, {{"Date", kNew}}), Precondition::kModified);
  EXPECT_EQ(evaluated({{"If-Modified-Since", "soon"}}, stored), Precondition::kNone);
  EXPECT_EQ(evaluated({}, stored), Precondition::kNone);
}

TEST(Validators, IfRange) {
  const Fields stored = {{"ETag", "\"a\""}, {"Last-Modified", kOld}, {"Date", kNew}};
  EXPECT_TRUE(range_applies(Fields{}, stored, kNow));
  EXPECT_TRUE(range_applies(Fields{{"If-Range", "\"a\""}}, stored, kNow));
  EXPECT_FALSE(range_applies(Fields{{"If-Range", "\"b\""}}, stored, kNow));
  EXPECT_FALSE(range_applies(Fields{{"If-Range", "W/\"a\""}}, Fields{{"ETag", "W/\"a\""}}, kNow));
  EXPECT_TRUE(range_applies(Fields{{"If-Range", kOld}}, stored, kNow));
  EXPECT_FALSE(range_applies(Fields{{"If-Range", kNew}}, stored, kNow));
  EXPECT_FALSE(range_applies(Fields{{"If-Range", kNew}}, Fields{{"Last-Modified", kNew}, {"Date", kNew}}, kNow))
      << "could have been changed twice in that second";
}

TEST(Validators, Combining) {
  EXPECT_TRUE(can_be_combined(Fields{{"ETag", "\"a\""}}, Fields{{"etag", "\"a\""}}));
  EXPECT_FALSE(can_be_combined(Fields{{"ETag", "W/\"a\""}}, Fields{{"etag", "W/\"a\""}}));
  EXPECT_FALSE(can_be_combined(Fields{}, Fields{}));
}

}  // namespace
}  // namespace verge::cache
