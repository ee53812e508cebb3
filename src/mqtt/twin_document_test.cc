#include "mqtt/twin_document.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::mqtt {
namespace {

constexpr size_t kBytesMax = 1000;

std::string document(std::string_view before, std::string_view request) {
  const Result<TwinChange> change = changed_twin("d", before, request, 1, kBytesMax);
  EXPECT_TRUE(change.has_value()) << request << ": " << change.error().line();
  return change ? change->document : std::string();
}

std::string_view refusal(std::string_view before, std::string_view request, size_t bytes_max = kBytesMax) {
  const Result<TwinChange> change = changed_twin("d", before, request, 1, bytes_max);
  return change ? "" : change.error().code;
}

TEST(TwinDocument, ChangesAreMergedAndCounted) {
  const std::string first = document("", R"({"desired":{"speed":3,"mode":{"eco":true,"night":false}}})");
  EXPECT_EQ(
      first,
      R"({"device":"d","version":1,"updated":1,"desired":{"mode":{"eco":true,"night":false},"speed":3},"reported":{}})");
  const std::string second =
      document(first, R"({"desired":{"speed":null,"mode":{"night":true}},"reported":{"a":[1]}})");
  EXPECT_EQ(
      second,
      R"({"device":"d","version":2,"updated":1,"desired":{"mode":{"eco":true,"night":true}},"reported":{"a":[1]}})");
  EXPECT_EQ(document(second, R"({"desired":null})"),
            R"({"device":"d","version":3,"updated":1,"desired":{},"reported":{"a":[1]}})");
}

TEST(TwinDocument, MergesAsTheRfcSays) {
  // RFC 7396, appendix A, within "reported".
  const std::pair<std::string, std::pair<std::string, std::string>> kCases[] = {
      {R"({"a":"b"})", {R"({"a":"c"})", R"({"a":"c"})"}},
      {R"({"a":"b"})", {R"({"b":"c"})", R"({"a":"b","b":"c"})"}},
      {R"({"a":"b"})", {R"({"a":null})", R"({})"}},
      {R"({"a":["b"]})", {R"({"a":"c"})", R"({"a":"c"})"}},
      {R"({"a":"c"})", {R"({"a":["b"]})", R"({"a":["b"]})"}},
      {R"({"a":{"b":"c"}})", {R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"}},
      {R"({"a":[{"b":"c"}]})", {R"({"a":[1]})", R"({"a":[1]})"}},
      {R"({"a":"foo"})", {R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}},
  };
  for (const auto& [target, rest] : kCases) {
    const std::string before = document("", R"({"reported":)" + target + "}");
    const std::string after = document(before, R"({"reported":)" + rest.first + "}");
    EXPECT_TRUE(after.ends_with(R"("reported":)" + rest.second + "}")) << after;
  }
}

TEST(TwinDocument, TheDeltaIsWhatIsDesiredAndNotReported) {
  Result<TwinChange> change = changed_twin("d", "", R"({"desired":{"a":1,"b":{"c":2,"d":3},"e":[1,2]}})", 1, kBytesMax);
  EXPECT_TRUE(change->is_delta_new);
  EXPECT_EQ(change->delta, R"({"version":1,"delta":{"a":1,"b":{"c":2,"d":3},"e":[1,2]}})");
  change = changed_twin("d", change->document, R"({"reported":{"a":1.0,"b":{"c":2},"z":1}})", 1, kBytesMax);
  EXPECT_EQ(change->delta, R"({"version":2,"delta":{"b":{"d":3},"e":[1,2]}})");
  change = changed_twin("d", change->document, R"({"reported":{"z":2}})", 1, kBytesMax);
  EXPECT_FALSE(change->is_delta_new);
  change = changed_twin("d", change->document, R"({"reported":{"b":{"d":3},"e":[1,2]}})", 1, kBytesMax);
  EXPECT_TRUE(change->is_delta_new);
  EXPECT_EQ(change->delta, "");
}

TEST(TwinDocument, AVersionThatIsNotTheTwinsChangesNothing) {
  const std::string first = document("", R"({"desired":{},"version":0})");
  EXPECT_EQ(refusal(first, R"({"desired":{},"version":0})"), "twin.version");
  EXPECT_EQ(refusal(first, R"({"desired":{},"version":2})"), "twin.version");
  EXPECT_EQ(refusal(first, R"({"desired":{},"version":1})"), "");
  EXPECT_FALSE(check_twin("d", first, R"({"version":2})").has_value());
  EXPECT_TRUE(check_twin("d", first, R"({"version":1})").has_value());
  EXPECT_TRUE(check_twin("d", first, "").has_value());
  EXPECT_EQ(check_twin("d", "", "").error().code, "twin.unknown");
}

TEST(TwinDocument, WhatIsNoRequestIsRefused) {
  for (const std::string_view request :
       {"", "{}", "[]", "1", "{\"desired\":1}", "{\"desired\":{}", "{\"wanted\":{}}", "{\"desired\":{},\"version\":-1}",
        "{\"desired\":{},\"version\":\"1\"}", "\xff", "{\"desired\":{\"a\":1e999}}"}) {
    EXPECT_EQ(refusal("", request), "twin.request") << request;
  }
  std::string deep = R"({"desired":)";
  for (int i = 0; i < 40; ++i) deep += R"({"a":)";
  deep += "1" + std::string(41, '}');
  EXPECT_EQ(refusal("", deep), "twin.request");
  EXPECT_EQ(refusal("", R"({"desired":{"a":"0123456789"}})", 60), "twin.too-large");
}

TEST(TwinDocument, AnswersHaveTheTokenOfTheirRequest) {
  EXPECT_EQ(twin_accepted("d", R"({"device":"d"})", R"({"token":"x"})"), R"({"device":"d","token":"x"})");
  EXPECT_EQ(twin_accepted("d", "", ""), R"({"device":"d"})");
  EXPECT_EQ(twin_rejected({"twin.version", "no", ""}, R"({"token":7})"),
            R"({"code":"twin.version","message":"no","status":409,"token":7})");
}

TEST(TwinDocument, TopicsNameOperationAndDevice) {
  EXPECT_EQ(tests::value_of(twin_request_of("$verge/twin/press-7/set")).device, "press-7");
  EXPECT_EQ(tests::value_of(twin_request_of("$verge/twin/a/delete")).operation, TwinOperation::kDelete);
  for (const std::string_view topic : {"$verge/twin/a", "$verge/twin//set", "$verge/twin/a/document",
                                       "$verge/twin/a/set/x", "verge/twin/a/set", "$verge/twin/a/b/set"}) {
    EXPECT_FALSE(twin_request_of(topic)) << topic;
  }
  EXPECT_EQ(twin_of_topic("$verge/twin/a/delta"), "$verge/twin/a");
  EXPECT_EQ(twin_of_topic("plant/twin/a/delta"), "plant/twin/a/delta");
}

}  // namespace
}  // namespace verge::mqtt
