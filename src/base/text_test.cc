#include "base/text.h"

#include <gtest/gtest.h>

namespace verge {
namespace {

TEST(Text, NearestSuggestsSlipsOfTheFingerOnly) {
  const std::vector<std::string> known = {"listen", "name", "data_dir"};
  EXPECT_EQ(nearest("lisetn", known), "listen");
  EXPECT_EQ(nearest("datadir", known), "data_dir");
  EXPECT_EQ(nearest("temperature", known), "");
  const std::vector<std::string> priorities = {"critical", "high", "normal", "low"};
  EXPECT_EQ(nearest("foo", priorities), "");
  EXPECT_EQ(nearest("lwo", priorities), "low");
  EXPECT_EQ(nearest("hgih", priorities), "high");
}

TEST(Text, DurationsAndSizesRoundTrip) {
  EXPECT_EQ(parse_duration("150ms"), Duration(150'000'000));
  EXPECT_EQ(parse_duration("5 min"), std::chrono::minutes(5));
  EXPECT_EQ(parse_duration("5"), std::nullopt);
  EXPECT_EQ(parse_duration("-1s"), std::nullopt);
  EXPECT_EQ(format_duration(std::chrono::seconds(90)), "90s");
  EXPECT_EQ(format_duration(std::chrono::hours(48)), "2d");
  EXPECT_EQ(parse_size("16 MiB"), 16U << 20);
  EXPECT_EQ(parse_size("512"), 512U);
  EXPECT_EQ(parse_size("12 parsecs"), std::nullopt);
  EXPECT_EQ(format_size(64U << 20), "64MiB");
}

TEST(Text, JsonStringsEscapeAndRepair) {
  EXPECT_EQ(json_string("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\n\\u0001\"");
  EXPECT_EQ(json_string("\xc3\xa9\xff"), "\"\xc3\xa9\xef\xbf\xbd\"");
}

TEST(Text, Utf8IsStrict) {
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_utf8("\xc0\x80"));          // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // cut short
}

TEST(Text, UtcIsIso8601) {
  EXPECT_EQ(format_utc({1'769'860'800'123'456}), "2026-01-31T12:00:00.123456Z");
  EXPECT_EQ(format_utc({-1}), "1969-12-31T23:59:59.999999Z");
}

TEST(Text, Base64IsThatOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Text, Base64RoundTripsAndHasOneForm) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 7));
  }
  EXPECT_EQ(from_base64("aGVsbG8="), "hello");
  for (const char* wrong :
       {"a", "ab", "abc", "====", "a===", "ab=c", "ab c", "ab==abcd", "aGVsbG9=", "aB==", "ab\n="}) {
    EXPECT_EQ(from_base64(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, WhatATerminalWouldDoIsShown) {
  EXPECT_EQ(printable("a\\b \u00e4 \u20ac {\"x\":1}"), "a\\b \u00e4 \u20ac {\"x\":1}");
  EXPECT_EQ(printable(std::string_view("\x1b[31mred\x1b]0;title\x07\0", 19)),
            "\\u{1b}[31mred\\u{1b}]0;title\\u{7}\\u{0}");
  EXPECT_EQ(printable("one\ntwo\tthree\r"), "one\\ntwo\\tthree\\u{d}");
  EXPECT_EQ(printable("\u009b31m\u202e\u2066\u2028\x7f"), "\\u{9b}31m\\u{202e}\\u{2066}\\u{2028}\\u{7f}");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
}

}  // namespace
}  // namespace verge
