// A span: one thing that was done for an event or a request, when, and what it belongs to
// (https://opentelemetry.io/docs/specs/otel/trace/api/).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "traces/trace_context.h"

namespace verge::traces {

// Values as OTLP writes them.
enum class SpanKind : uint8_t { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };

struct Attribute {
  std::string_view key;  // a literal
  std::variant<std::string, int64_t, bool> value;
};

// To a span of another trace that this one comes of.
struct Link {
  TraceId trace;
  SpanId span = 0;
};

struct Span {
  TraceId trace;
  SpanId id = 0;
  SpanId parent = 0;  // 0: it is the root
  SpanKind kind = SpanKind::kInternal;
  std::string name;
  int64_t begin_ns = 0;  // since 1970-01-01T00:00:00Z
  int64_t end_ns = 0;
  std::vector<Attribute> attributes = {};
  std::vector<Link> links = {};
  std::string error = {};  // what went wrong; empty: nothing

  // For bounds.
  [[nodiscard]] size_t bytes() const;
};

// Places times that were measured since: the wall and the steady clock, read together.
class Instant {
 public:
  explicit Instant(const Clock& clock) : wall_ns_(clock.wall().microseconds * 1000), monotonic_(clock.monotonic()) {}
  [[nodiscard]] int64_t unix_ns(MonotonicTime time) const { return wall_ns_ - (monotonic_ - time).count(); }
  [[nodiscard]] int64_t now_ns() const { return wall_ns_; }

 private:
  int64_t wall_ns_;
  MonotonicTime monotonic_;
};

}  // namespace verge::traces
