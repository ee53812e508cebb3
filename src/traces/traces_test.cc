#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/value_of.h"
#include "traces/otlp.h"
#include "traces/tracer.h"

namespace verge::traces {
namespace {

constexpr std::string_view kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceParent, IsReadAsItIsWritten) {
  const TraceContext context = tests::value_of(parse_traceparent(kParent));
  EXPECT_EQ(text_of(context.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(text_of(context.span), "00f067aa0ba902b7");
  EXPECT_TRUE(context.sampled);
  EXPECT_EQ(traceparent_of(context), kParent);
  EXPECT_FALSE(tests::value_of(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")).sampled);
}

TEST(TraceParent, KeepsTheFlagsThatAreKnown) {
  for (const char flags : {'0', '1', '2', '3'}) {
    const std::string text = std::string(kParent.substr(0, kParent.size() - 1)) + flags;
    EXPECT_EQ(traceparent_of(tests::value_of(parse_traceparent(text))), text);
  }
  const std::string_view all = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff";
  EXPECT_TRUE(traceparent_of(tests::value_of(parse_traceparent(all))).ends_with("-03"));
}

// As the recommendation's own examples go.
TEST(TraceParent, OfALaterVersionIsReadAsFarAsItIsKnown) {
  EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-will-be"));
  EXPECT_FALSE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what"));
}

TEST(TraceParent, WhatIsNoneIsNotRead) {
  for (const std::string_view text : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                                      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                      "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                      "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
                                      "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
                                      "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    EXPECT_FALSE(parse_traceparent(text)) << text;
  }
}

TEST(TraceParent, WhateverItReadsIsOne) {
  Random random(7);
  const std::string_view digits = "0123456789abcdef-gA";
  for (int i = 0; i < 200'000; ++i) {
    std::string text(kParent);
    for (uint64_t changes = random.below(4); changes > 0; --changes) {
      text[random.below(text.size())] = digits[random.below(digits.size())];
    }
    const std::optional<TraceContext> context = parse_traceparent(text);
    if (!context || !text.starts_with("00-")) continue;
    ASSERT_EQ(traceparent_of(*context).substr(0, 53), text.substr(0, 53));
  }
}

TEST(EventTrace, IsTheSameWhereverTheEventIs) {
  const EventView here{.time = {5}, .topic = "a/b", .device = "d", .payload = "{}"};
  EventView there = here;
  there.has_origin = true;
  there.origin_node.bytes[0] = 'x';
  there.origin_name = "edge";
  there.origin_sequence = 7;
  EXPECT_EQ(trace_of(here), trace_of(there));
  EventView other = here;
  other.time = {6};
  EXPECT_NE(trace_of(here), trace_of(other));
  other = here;
  other.device = "e";
  EXPECT_NE(trace_of(here), trace_of(other));
  NodeId node;
  node.bytes[3] = 1;
  const TraceId trace = trace_of(here);
  EXPECT_NE(span_of(trace, node, Stage::kEntry), span_of(trace, node, Stage::kUplink));
  EXPECT_NE(span_of(trace, node, Stage::kEntry), span_of(trace, NodeId{}, Stage::kEntry));
}

TEST(TracerTest, OneInSoManyIsWritten) {
  const Tracer all({.one_in = 1});
  const Tracer none({});
  const Tracer some({.one_in = 100});
  Random random(11);
  int written = 0;
  constexpr int kEvents = 100'000;
  for (int i = 0; i < kEvents; ++i) {
    const std::string payload = std::to_string(random.next());
    const TraceId trace = trace_of({.time = {i}, .topic = "t", .device = "d", .payload = payload});
    EXPECT_TRUE(all.writes(trace));
    EXPECT_FALSE(none.writes(trace));
    written += some.writes(trace) ? 1 : 0;
  }
  // Six standard deviations.
  EXPECT_NEAR(written, 1000, 190);
}

TEST(TracerTest, AFlagOfOthersCountsOnlyWhereItIsHeeded) {
  TraceContext from = tests::value_of(parse_traceparent(kParent));
  from.trace.low = 0;  // who asks may choose the name
  const Tracer seldom({.one_in = 1'000'000'000});
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(seldom.begin(&from));
  EXPECT_TRUE(Tracer({.one_in = 1}).begin(&from));
  const Tracer heeding({.one_in = 1'000'000'000, .heeds_flag = true});
  const TraceContext own = tests::value_of(heeding.begin(&from));
  EXPECT_EQ(own.trace, from.trace);
  EXPECT_NE(own.span, from.span);
  EXPECT_FALSE(own.random) << "who named it did not say so";
  from.random = true;
  EXPECT_TRUE(tests::value_of(heeding.begin(&from)).random);
  EXPECT_TRUE(tests::value_of(Tracer({.one_in = 1}).begin()).random);
  from.sampled = false;
  EXPECT_FALSE(heeding.begin(&from));
  EXPECT_FALSE(Tracer({.one_in = 1, .heeds_flag = true}).begin(&from)) << "who asks decided against it";
  EXPECT_TRUE(Tracer({.one_in = 1}).begin(&from));
}

TEST(TracerTest, IsBounded) {
  Tracer tracer({.one_in = 1});
  int filled = 0;
  tracer.when_filled([&] { ++filled; });
  for (size_t i = 0; i < Tracer::kSpansMax + 10; ++i) tracer.add({.trace = {1, i}, .id = i + 1, .name = "n"});
  EXPECT_EQ(tracer.dropped(), 10U);
  EXPECT_EQ(filled, 1);
  size_t taken = 0;
  while (true) {
    const std::vector<Span> some = tracer.take(1000);
    if (some.empty()) break;
    EXPECT_EQ(some.front().id, taken + 1) << "the oldest first";
    taken += some.size();
  }
  EXPECT_EQ(taken, Tracer::kSpansMax);
  tracer.add({.trace = {1, 1}, .id = 1, .name = std::string(Tracer::kBytesMax, 'x')});
  EXPECT_EQ(tracer.dropped(), 11U);
  tracer.add({.trace = {1, 1}, .id = 1, .name = std::string(Tracer::kBytesMax / 2, 'x')});
  EXPECT_EQ(tracer.waiting(), 1U);
  EXPECT_EQ(filled, 2);
  for (int i = 0; i < 9; ++i) tracer.add({.trace = {1, 1}, .id = 1, .name = std::string(1000, 'x')});
  EXPECT_EQ(tracer.take(1000, 1).size(), 1U) << "one at least";
  EXPECT_EQ(tracer.take(1000, 2500).size(), 3U) << "what goes beyond is the last";
}

TEST(Otlp, IsAsTheProtocolWritesJson) {
  const Span span{.trace = {0x4bf92f3577b34da6, 0xa3ce929d0e0e4736},
                  .id = 0xf067aa0ba902b7,
                  .parent = 1,
                  .kind = SpanKind::kServer,
                  .name = "GE\"T",
                  .begin_ns = 1'700'000'000'000'000'001,
                  .end_ns = 1'700'000'000'000'000'002,
                  .attributes = {{"a", std::string("b\xff")}, {"n", int64_t{9'007'199'254'740'993}}, {"yes", true}},
                  .links = {{{1, 2}, 3}, {{0, 4}, 5}},
                  .error = "no"};
  const std::string text = otlp_json({.node = "press-7", .node_id = "00ff", .tier = "edge"}, std::span(&span, 1));
  EXPECT_THAT(text, testing::HasSubstr(R"({"key":"service.name","value":{"stringValue":"verge"}})"));
  EXPECT_THAT(text, testing::HasSubstr(R"({"key":"verge.node","value":{"stringValue":"press-7"}})"));
  EXPECT_THAT(
      text,
      testing::HasSubstr(
          R"("spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","parentSpanId":"0000000000000001",)"
          R"("name":"GE\"T","kind":2,"startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000002",)"
          R"("attributes":[{"key":"a","value":{"stringValue":"b�"}},{"key":"n","value":{"intValue":"9007199254740993"}},)"
          R"({"key":"yes","value":{"boolValue":true}}],)"
          R"("links":[{"traceId":"00000000000000010000000000000002","spanId":"0000000000000003"},)"
          R"({"traceId":"00000000000000000000000000000004","spanId":"0000000000000005"}],"status":{"code":2,"message":"no"}}]}]}]})"));
}

TEST(Otlp, ReadsWhatACollectorDidNotTake) {
  EXPECT_EQ(parse_otlp_answer("").rejected, 0U);
  EXPECT_EQ(parse_otlp_answer("{}").rejected, 0U);
  EXPECT_EQ(parse_otlp_answer("[1]").rejected, 0U);
  EXPECT_EQ(parse_otlp_answer(R"({"partialSuccess":{"rejectedSpans":-3}})").rejected, 0U);
  EXPECT_EQ(parse_otlp_answer(R"({"partialSuccess":{"rejectedSpans":7}})").rejected, 7U);
  const PartialSuccess said = parse_otlp_answer(R"({"partialSuccess":{"rejectedSpans":"12","errorMessage":"old"}})");
  EXPECT_EQ(said.rejected, 12U);
  EXPECT_EQ(said.message, "old");
}

}  // namespace
}  // namespace verge::traces
