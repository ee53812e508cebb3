#include "spool/parent_answer.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace verge::spool {
namespace {

using Meaning = ParentAnswer::Meaning;

constexpr WallTime kNow{1'700'000'000'000'000};  // 14 Nov 2023 22:13:20 GMT

ParentAnswer read(int status, std::string_view body) {
  return read_answer(net::HttpAnswer{.status = status, .fields = {}, .body = Payload(body)}, "parent:80", false, kNow);
}

TEST(ParentAnswer, OnlyTheParentsOwnWordIsADelivery) {
  EXPECT_EQ(read(200, R"({"durable":true,"stored":1,"known":0})").meaning, Meaning::kDurable);
  EXPECT_TRUE(read(200, R"({"durable":true,"stored":1,"known":0})").is_parents_word);
  for (const int status : {200, 204, 302, 401, 404, 429, 500, 503}) {
    const ParentAnswer answer = read(status, "<html>sign in</html>");
    EXPECT_EQ(answer.meaning, Meaning::kNotNow) << status;
    EXPECT_FALSE(answer.is_parents_word) << status;
  }
  EXPECT_FALSE(read(503, error_json({"node.draining", "no", ""})).is_parents_word);
  const ParentAnswer none = read_answer(fail("http.timeout", "late"), "parent:80", false, kNow);
  EXPECT_EQ(none.meaning, Meaning::kNotNow);
  EXPECT_TRUE(none.timed_out);
}

TEST(ParentAnswer, WhoRefuses) {
  for (const int status : {400, 413, 422}) {
    const std::string proxys = "<html>The plain HTTP request was sent to HTTPS port</html>";
    EXPECT_EQ(read(status, proxys).meaning, status == 413 ? Meaning::kRefused : Meaning::kNotNow);
    EXPECT_FALSE(read(status, proxys).is_parents_word);
    const ParentAnswer parents = read(status, error_json({"spool.too-large", "no", ""}) + "\n");
    EXPECT_EQ(parents.meaning, Meaning::kRefused);
    EXPECT_TRUE(parents.is_parents_word);
  }
}

TEST(ParentAnswer, AParentWithoutRoomForOneStreamMayHaveItForOthers) {
  for (const char* code : {"spool.full", "spool.holes", "storage.full"}) {
    const ParentAnswer answer = read(503, error_json({code, "no", ""}));
    EXPECT_EQ(answer.meaning, Meaning::kHeldOff) << code;
    EXPECT_TRUE(answer.is_parents_word) << code;
  }
  for (const char* code : {"node.draining", "uplink.busy"}) {
    EXPECT_EQ(read(503, error_json({code, "no", ""})).meaning, Meaning::kNotNow) << code;
  }
  EXPECT_EQ(read(503, "spool.full").meaning, Meaning::kNotNow);
}

std::optional<Duration> pause_of(const std::vector<net::HttpField>& fields) {
  const net::HttpAnswer answer{.status = 503, .fields = fields, .body = {}};
  return read_answer(answer, "parent:80", false, kNow).asked_pause;
}

TEST(ParentAnswer, RetryAfterIsSecondsOrADate) {
  using std::chrono::seconds;
  EXPECT_EQ(pause_of({}), std::nullopt);
  EXPECT_EQ(pause_of({{"Retry-After", "7"}}), seconds(7));
  EXPECT_EQ(pause_of({{"Retry-After", "Tue, 14 Nov 2023 22:13:50 GMT"}}), seconds(30));
  for (const char* none : {"", "soon", "7 s", "-3", "7.5"}) {
    EXPECT_EQ(pause_of({{"Retry-After", none}}), std::nullopt) << none;
  }
}

TEST(ParentAnswer, RetryAfterIsBoundedAndCountsByTheAnswersOwnClock) {
  using std::chrono::seconds;
  for (const char* long_time :
       {"86400", "99999999999999999999", "Thu, 14 Nov 2024 22:13:20 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"}) {
    EXPECT_EQ(pause_of({{"Retry-After", long_time}}), std::chrono::minutes(5)) << long_time;
  }
  EXPECT_EQ(pause_of({{"Retry-After", "Tue, 14 Nov 2023 22:00:00 GMT"}}), seconds(0));
  EXPECT_EQ(pause_of({{"Date", "Tue, 14 Nov 2023 21:59:48 GMT"}, {"Retry-After", "Tue, 14 Nov 2023 22:00:00 GMT"}}),
            seconds(12));
  EXPECT_EQ(pause_of({{"Date", "today"}, {"Retry-After", "Tue, 14 Nov 2023 22:13:21 GMT"}}), seconds(1));
}

}  // namespace
}  // namespace verge::spool
