#include "spool/batch.h"

#include <gtest/gtest.h>

#include "compress/zstd_frame.h"
#include "spool/record.h"
#include "tests/support/value_of.h"

namespace verge::spool {
namespace {

BatchHeader header() {
  return {.node = NodeId::generate(),
          .incarnation = NodeId::generate(),
          .stream = Priority::kHigh,
          .name = "edge-1",
          .floor = 3};
}

std::string event_of(const EventView& event) {
  std::string bytes;
  append_event(bytes, event);
  return bytes;
}

TEST(Batch, RoundTrips) {
  const BatchHeader sent = header();
  BatchBuilder builder(sent);
  builder.add(4, event_of({.topic = "a/b", .device = "d", .payload = "{}"}));
  builder.add(9, event_of({.topic = "$verge/actions/x", .payload = std::string_view("\0\xff", 2)}));
  const Result<Batch> batch = Batch::parse(builder.take(3));
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->header.source(), sent.source());
  EXPECT_EQ(batch->header.name, "edge-1");
  EXPECT_EQ(batch->header.floor, 3U);
  ASSERT_EQ(batch->records.size(), 2U);
  EXPECT_EQ(batch->records[1].sequence, 9U);
  EXPECT_EQ(batch->records[1].event.payload, std::string_view("\0\xff", 2));
}

// What climbs is given to subscribers and rules: nothing may come in this way that they could not be given.
TEST(Batch, EventsThatNoDeviceCouldSendAreRefused) {
  const std::string long_topic(70'000, 'x');
  const std::string deep_topic(60'000, '/');
  for (const std::string_view topic :
       {std::string_view(""), std::string_view("a/#"), std::string_view("+"), std::string_view("a\0b", 3),
        std::string_view("\xff"), std::string_view(long_topic), std::string_view(deep_topic)}) {
    BatchBuilder builder(header());
    builder.add(4, event_of({.topic = topic, .payload = "x"}));
    const Result<Batch> batch = Batch::parse(builder.take(1));
    ASSERT_FALSE(batch.has_value()) << topic.substr(0, 20);
    EXPECT_EQ(batch.error().code, "uplink.malformed");
  }
  BatchBuilder builder(header());
  builder.add(4, event_of({.topic = "a", .device = "\xff", .payload = "x"}));
  EXPECT_FALSE(Batch::parse(builder.take(1)).has_value());
}

// A step that goes round would let sequences fall.
TEST(Batch, SequencesThatGoRoundAreRefused) {
  BatchBuilder builder(header());
  const std::string event = event_of({.topic = "a", .payload = ""});
  const std::string sound = builder.take(1);
  const Result<Batch> empty = Batch::parse(sound);
  ASSERT_TRUE(empty.has_value());
  std::string bytes = empty->bytes;
  bytes.pop_back();  // the count
  append_varint(bytes, 2);
  for (const uint64_t step : {uint64_t{5}, ~uint64_t{0}}) {
    append_varint(bytes, step);
    append_sized(bytes, event);
  }
  const Result<Batch> batch = Batch::parse(compress::zstd_frame(bytes, 1));
  ASSERT_FALSE(batch.has_value());
  EXPECT_EQ(batch.error().code, "uplink.malformed");
}

// Windows reckon with times, and people read them.
TEST(Batch, TimesOutsideTheYears1970To9999AreRefused) {
  const auto is_taken = [](int64_t microseconds) {
    BatchBuilder builder(header());
    builder.add(4, event_of({.time = {microseconds}, .topic = "a", .payload = "x"}));
    return Batch::parse(builder.take(1)).has_value();
  };
  EXPECT_TRUE(is_taken(0));
  EXPECT_TRUE(is_taken(253'402'300'799'999'999));
  EXPECT_FALSE(is_taken(253'402'300'800'000'000));
  EXPECT_FALSE(is_taken(-1));
  EXPECT_FALSE(is_taken(INT64_MAX));
  EXPECT_FALSE(is_taken(INT64_MIN));
}

// It would be in every record.
TEST(Batch, ALongNameIsRefused) {
  for (const size_t size : {255U, 256U, 60'000U}) {
    BatchHeader sent = header();
    sent.name = std::string(size, 'n');
    BatchBuilder builder(sent);
    builder.add(1, event_of({.topic = "t", .payload = "p"}));
    EXPECT_EQ(Batch::parse(builder.take(1)).has_value(), size == 255) << size;
  }
}

TEST(Batch, TooManyRecordsOrBytesAreRefused) {
  BatchBuilder builder(header());
  const std::string event = event_of({.topic = "a", .payload = ""});
  for (uint64_t i = 1; i <= kBatchRecordsMax + 1; ++i) builder.add(i, event);
  EXPECT_FALSE(Batch::parse(builder.take(1)).has_value());
  const Result<Batch> bomb = Batch::parse(compress::zstd_frame(std::string(kBatchBytesMax + 1, '\0'), 1));
  ASSERT_FALSE(bomb.has_value());
  EXPECT_EQ(bomb.error().code, "uplink.too-large");
}

TEST(Frame, HoldsItsRecordsAndSaysWhenItIsFull) {
  FrameBuilder builder;
  std::vector<std::string> sources;
  while (!builder.is_full(1U << 30)) {
    sources.push_back("d" + std::to_string(sources.size()));
    builder.add(sources.back(), 1, "event");
    builder.add(sources.front(), sources.size(), "other");
  }
  EXPECT_EQ(sources.size(), kFrameSourcesMax);
  const std::string body = builder.take(0);
  EXPECT_EQ(builder.count(), 0U);
  FrameRecords records(body);
  for (const std::string& source : sources) {
    EXPECT_EQ(tests::value_of(records.next()).source, source);
    EXPECT_EQ(tests::value_of(records.next()).source, sources.front());
  }
  EXPECT_FALSE(records.next().has_value());
}

}  // namespace
}  // namespace verge::spool
