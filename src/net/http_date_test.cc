#include "net/http_date.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/http_response.h"

namespace verge::net {
namespace {

constexpr int64_t kNow = 1'700'000'000;  // 14 Nov 2023
constexpr int64_t kExample = 784'111'777;

TEST(HttpDate, TheThreeForms) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994", kNow), kExample);
  EXPECT_EQ(parse_http_date("sUN, 06 nov 1994 08:49:37 gmt", kNow), kExample);
  EXPECT_EQ(parse_http_date("Mon, 06 Nov 1994 08:49:37 GMT", kNow), kExample) << "the day of the week does not matter";
}

TEST(HttpDate, TwoDigitsOfAYear) {
  EXPECT_EQ(parse_http_date("Tuesday, 01-Jan-74 00:00:00 GMT", kNow), 126'230'400) << "74 would be 51 years ahead";
  EXPECT_EQ(parse_http_date("Monday, 01-Jan-73 00:00:00 GMT", kNow), 3'250'454'400);
}

TEST(HttpDate, NothingElse) {
  for (const std::string_view text :
       {"", "0", "-1", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06  Nov 1994 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_http_date(text, kNow)) << text;
  }
}

TEST(HttpDate, ReadsWhatIsWritten) {
  Random random(system_seed());
  for (int i = 0; i < 10'000; ++i) {
    const auto second = static_cast<int64_t>(random.below(253'402'300'800));
    EXPECT_EQ(parse_http_date(http_date({second * 1'000'000}), kNow), second);
  }
}

}  // namespace
}  // namespace verge::net
