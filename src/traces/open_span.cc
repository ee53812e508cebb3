#include "traces/open_span.h"

#include <utility>

namespace verge::traces {

OpenSpan::OpenSpan(const Scope& scope, SpanId parent, SpanKind kind, std::string name)
    : scope_(scope),
      begun_(scope.clock->monotonic()),
      span_{.trace = scope.context.trace,
            .id = Tracer::new_span(),
            .parent = parent,
            .kind = kind,
            .name = std::move(name)} {}

OpenSpan::OpenSpan(OpenSpan&& other) noexcept
    : scope_(std::move(other.scope_)),
      begun_(other.begun_),
      span_(std::move(other.span_)),
      ended_(std::exchange(other.ended_, true)) {}

OpenSpan::~OpenSpan() { end("it was given up"); }

void OpenSpan::set(std::string_view key, std::variant<std::string, int64_t, bool> value) {
  if (!ended_) span_.attributes.push_back({key, std::move(value)});
}

void OpenSpan::end(std::string_view error) {
  if (std::exchange(ended_, true)) return;
  const Instant instant(*scope_.clock);
  span_.begin_ns = instant.unix_ns(begun_);
  span_.end_ns = instant.now_ns();
  span_.error = error;
  scope_.tracer->add(std::move(span_));
}

}  // namespace verge::traces
