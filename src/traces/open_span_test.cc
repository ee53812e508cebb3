#include "traces/open_span.h"

#include <gtest/gtest.h>

namespace verge::traces {
namespace {

class OpenSpanTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  std::shared_ptr<Tracer> tracer_ = std::make_shared<Tracer>(Tracer::Options{.one_in = 1});
  Scope scope_{tracer_, &clock_, {.trace = {1, 2}, .span = 3, .sampled = true}};
};

TEST_F(OpenSpanTest, IsWrittenOnceItEndsWithItsTimes) {
  OpenSpan span(scope_, scope_.context.span, SpanKind::kClient, "fetch");
  span.set("a", int64_t{1});
  clock_.advance(std::chrono::milliseconds(5));
  EXPECT_TRUE(tracer_->take(10).empty());
  span.end("broken");
  span.set("late", true);
  span.end();
  const std::vector<Span> spans = tracer_->take(10);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans[0].trace, (TraceId{1, 2}));
  EXPECT_EQ(spans[0].parent, 3U);
  EXPECT_EQ(spans[0].end_ns - spans[0].begin_ns, 5'000'000);
  EXPECT_EQ(spans[0].error, "broken");
  EXPECT_EQ(spans[0].attributes.size(), 1U);
}

TEST_F(OpenSpanTest, WhatIsWithinIsItsChild) {
  OpenSpan outer(scope_, scope_.context.span, SpanKind::kInternal, "outer");
  OpenSpan inner(outer.within(), outer.within().context.span, SpanKind::kInternal, "inner");
  const std::optional<TraceContext> told = parse_traceparent(outer.traceparent());
  ASSERT_TRUE(told.has_value());
  inner.end();
  outer.end();
  const std::vector<Span> spans = tracer_->take(10);
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[0].parent, spans[1].id);
  EXPECT_EQ(told ? told->span : 0, spans[1].id);
}

TEST_F(OpenSpanTest, WhatIsGivenUpSaysSoAndWhatIsMovedDoesNot) {
  {
    OpenSpan first(scope_, scope_.context.span, SpanKind::kInternal, "moved");
    OpenSpan second(std::move(first));
    second.end();
    const OpenSpan third(scope_, scope_.context.span, SpanKind::kInternal, "given up");
  }
  const std::vector<Span> spans = tracer_->take(10);
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[0].error, "");
  EXPECT_NE(spans[1].error, "");
}

}  // namespace
}  // namespace verge::traces
