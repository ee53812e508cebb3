// OpenSpan: a span of something that is under way, and Scope: what is done within it belongs to it. For those whose
// parts are done by different hands, such as the code that a request calls and what that fetches.
//
// A scope says where its spans go: to the node's tracer, or to one that somebody made for this trace alone.
//
// Threading: none of its own; the tracer's is as it says.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "traces/tracer.h"

namespace verge::traces {

struct Scope {
  std::shared_ptr<Tracer> tracer;  // shared: whoever made it for one trace waits
                                   // for its spans, and may give up
  const Clock* clock = nullptr;    // outlives it
  TraceContext context;            // what is done within is a child of this span
};

class OpenSpan {
 public:
  // Begins now. `parent`: of the scope's trace.
  OpenSpan(const Scope& scope, SpanId parent, SpanKind kind, std::string name);
  // Ends it, where nobody has: it was given up.
  ~OpenSpan();
  OpenSpan(OpenSpan&& other) noexcept;
  OpenSpan& operator=(OpenSpan&&) = delete;

  [[nodiscard]] Scope within() const { return {scope_.tracer, scope_.clock, context()}; }
  [[nodiscard]] std::string traceparent() const { return traceparent_of(context()); }
  void set(std::string_view key, std::variant<std::string, int64_t, bool> value);
  // Once; later calls do nothing. `error`: what went wrong; empty: nothing.
  void end(std::string_view error = {});

 private:
  [[nodiscard]] TraceContext context() const {
    return {.trace = span_.trace, .span = span_.id, .sampled = true, .random = scope_.context.random};
  }

  Scope scope_;
  MonotonicTime begun_;
  Span span_;
  bool ended_ = false;
};

}  // namespace verge::traces
