#include "node/ingest.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

Result<std::vector<PostedEvent>> parse(std::string_view body, std::string_view query = "") {
  return parse_posted_events(Payload(body), query);
}

TEST(Ingest, AnEnvelopeSaysItAll) {
  const auto events =
      parse(R"({"topic":"plant/p7/oven","device":"p7","priority":"high","sequence":9,"payload":{"temperature":80.5}})");
  ASSERT_TRUE(events.has_value());
  ASSERT_EQ(events->size(), 1U);
  const PostedEvent& event = events->front();
  EXPECT_EQ(event.topic, "plant/p7/oven");
  EXPECT_EQ(event.device, "p7");
  EXPECT_EQ(event.priority, Priority::kHigh);
  EXPECT_EQ(event.sequence, 9U);
  EXPECT_EQ(event.payload.view(), R"({"temperature":80.5})");
}

TEST(Ingest, APlainObjectIsThePayload) {
  const auto events = parse(R"({"device":"p7","temperature":80})");
  ASSERT_TRUE(events.has_value());
  EXPECT_EQ(events->front().topic, "events/p7");
  EXPECT_EQ(events->front().priority, Priority::kNormal);
  EXPECT_EQ(events->front().payload.view(), R"({"device":"p7","temperature":80})");
  EXPECT_EQ(parse(R"({"a":1})", "topic=x%2Fy&priority=low")->front().topic, "x/y");
  EXPECT_EQ(parse(R"({"a":1})", "topic=x%2Fy&priority=low")->front().priority, Priority::kLow);
}

TEST(Ingest, NumbersKeepAllTheirDigits) {
  const std::string number = "0.1000000000000000055511151231257827021181583404541015625e+00";
  const std::string payload =
      R"({"payload" : 1, "a":)" + number + R"(, "b" : [ 18446744073709551615, -0.0, 1.50E2 ] })";
  const std::string minified = R"({"payload":1,"a":)" + number + R"(,"b":[18446744073709551615,-0.0,1.50E2]})";
  for (const std::string& body :
       {R"({"topic":"t","payload":)" + payload + "}", "[{\"topic\":\"t\", \"payload\" : " + payload + "}]",
        "{\"topic\":\"t\",\"payload\":" + payload + "}\n{\"topic\":\"t\",\"payload\":" + payload + "}"}) {
    const auto events = parse(body);
    ASSERT_TRUE(events.has_value()) << body << ": " << events.error().line();
    for (const PostedEvent& event : *events) EXPECT_EQ(event.payload.view(), minified) << body;
  }
  EXPECT_EQ(parse(R"([1.0])").has_value(), false);
  EXPECT_EQ(parse(R"({"a" : 1.0 })")->front().payload.view(), R"({"a":1.0})");
}

TEST(Ingest, NumbersOfAnySizeAreJson) {
  const std::string payload = R"({"n":123456789012345678901234567890,"m":1e400,"s":"-1e400"})";
  for (const std::string& body :
       {payload, "[" + payload + "]", R"({"topic":"t","payload":)" + payload + "}", payload + "\n" + payload,
        R"({"topic":"t","sequence":7,"payload":)" + payload + ",\"device\":\"d\"}"}) {
    const auto events = parse(body);
    ASSERT_TRUE(events.has_value()) << body << ": " << events.error().line();
    for (const PostedEvent& event : *events) EXPECT_EQ(event.payload.view(), payload) << body;
    if (body.contains("sequence")) EXPECT_EQ(events->front().sequence, 7U);
  }
  for (const char* body : {R"({"topic":"t","device":"d","sequence":123456789012345678901234567890,"payload":1})",
                           R"({"n":1e400.5})", R"({"n":01e400})", R"({"n":1e400,"m":})"}) {
    EXPECT_FALSE(parse(body).has_value()) << body;
  }
}

TEST(Ingest, ArraysAndLinesAreTakenInOrder) {
  for (const char* body : {R"([{"topic":"a","payload":1},{"topic":"b","payload":"two"}])",
                           "{\"topic\":\"a\",\"payload\":1}\n\n{\"topic\":\"b\",\"payload\":\"two\"}\n"}) {
    const auto events = parse(body);
    ASSERT_TRUE(events.has_value()) << events.error().line();
    ASSERT_EQ(events->size(), 2U);
    EXPECT_EQ((*events)[0].payload.view(), "1");
    EXPECT_EQ((*events)[1].topic, "b");
    EXPECT_EQ((*events)[1].payload.view(), "two");
  }
}

TEST(Ingest, FaultsNameTheEvent) {
  const auto code = [](std::string_view body, std::string_view query = "") {
    const auto events = parse(body, query);
    return events ? std::string("none") : std::string(events.error().code);
  };
  EXPECT_EQ(code(""), "ingest.json");
  EXPECT_EQ(code("{"), "ingest.json");
  EXPECT_EQ(code("{\"topic\":\"a\"}\n{oops}\n"), "ingest.json");
  EXPECT_EQ(code("[1]"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","sequence":"7"})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","sequence":-7})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","device":"d","sequence":4611686018427387904})"), "none");
  EXPECT_EQ(code(R"({"topic":"a","device":"d","sequence":4611686018427387905})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","payload_base64":"AP8="})"), "none");
  EXPECT_EQ(code(R"({"topic":"a","payload_base64":"AP8"})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","payload_base64":7})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","payload_base64":"AP8=","payload":1})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","priority":5})"), "ingest.shape");
  // Slips that would change, unnoticed, what becomes of the event.
  EXPECT_EQ(code(R"({"topic":"a","payload":1,"sequence":5})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","payload":1,"prioritty":"critical"})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a","payload_base64":"AP8=","sequense":7})"), "ingest.shape");
  EXPECT_EQ(code(R"({"a":1})", "topc=a"), "http.unknown-parameter");
  EXPECT_EQ(code(R"({"a":1})", "topic=a&%74opc=a"), "http.unknown-parameter");
  EXPECT_EQ(code(R"({"topic":"a","device":7})"), "ingest.shape");
  EXPECT_EQ(code(R"({"topic":"a/#"})"), "ingest.topic");
  EXPECT_EQ(code(R"({"topic":"a","device":"p\u00007"})"), "ingest.device");
  EXPECT_EQ(code(R"({"device":"p\u00007"})"), "ingest.device");
  EXPECT_EQ(code(R"({"a":1})", "topic=a&device=a%00b"), "ingest.device");
  EXPECT_EQ(code(R"({"a":1})", "topic=a&device=%ff"), "ingest.device");
  EXPECT_EQ(code(R"({"a":1})", "topic=a&device=" + std::string(1025, 'x')), "ingest.device");
  EXPECT_EQ(code(R"({"a":1})", "topic=a&device=" + std::string(1024, 'x')), "none");
  EXPECT_EQ(code(R"({"topic":"$SYS/x"})"), "ingest.topic");
  EXPECT_EQ(code(R"({"topic":"a","priority":"hihg"})"), "ingest.priority");
  EXPECT_NE(parse(R"({"topic":"a","priority":"hihg"})").error().fix.find("high"), std::string::npos);
  EXPECT_NE(parse("[{\"topic\":\"a\"},{\"topic\":\"#\"}]").error().what.find("event 2"), std::string::npos);
}

}  // namespace
}  // namespace verge::node
