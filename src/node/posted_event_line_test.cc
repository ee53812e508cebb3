#include "node/posted_event_line.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "node/ingest.h"

namespace verge::node {
namespace {

void expect_round_trip(const EventView& event, Priority priority) {
  const Result<std::string> line = posted_event_line(event, priority);
  ASSERT_TRUE(line) << line.error().line();
  EXPECT_EQ(line->find('\n'), std::string::npos);
  const Result<std::vector<PostedEvent>> posted = parse_posted_events(Payload(*line), {});
  ASSERT_TRUE(posted) << posted.error().line() << " of " << *line;
  ASSERT_EQ(posted->size(), 1U);
  EXPECT_EQ(posted->front().topic, event.topic);
  EXPECT_EQ(posted->front().device, event.device);
  EXPECT_EQ(posted->front().priority, priority);
  EXPECT_EQ(posted->front().payload.view(), event.payload) << *line;
}

TEST(PostedEventLine, EveryPayloadComesBack) {
  for (const std::string_view payload :
       {R"({"a":1})", R"({ "a": 1.0, "b": [1e3] })", R"("a string in quotes")", "a text", "", "true", "null", "1.50",
        "{\n\"lines\":1}", "two\nlines", "{broken", R"({"topic":"x","payload":1})", "\xff\xfe\x00 binary"}) {
    for (const Priority priority : kPriorities) expect_round_trip({.topic = "t", .payload = payload}, priority);
  }
  expect_round_trip({.topic = "t", .payload = std::string_view("nul \0 in it", 11)}, Priority::kLow);
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int i = 0; i < 2000; ++i) {
    std::string payload;
    const bool is_text = random.chance(0.5);
    for (uint64_t left = random.below(20); left > 0; --left) {
      payload.push_back(static_cast<char>(is_text ? R"({}[]":,1e. )"[random.below(11)] : random.below(256)));
    }
    expect_round_trip({.topic = "plant/\u00e4", .device = "p\"7", .payload = payload}, Priority::kHigh);
  }
}

TEST(PostedEventLine, WhatCannotBePostedIsAnError) {
  EXPECT_EQ(posted_event_line({.topic = "$verge/actions/x", .payload = "1"}, Priority::kLow).error().code,
            "ingest.topic");
  EXPECT_FALSE(posted_event_line({.topic = "t", .device = "\xff", .payload = "1"}, Priority::kLow));
}

}  // namespace
}  // namespace verge::node
