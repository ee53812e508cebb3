// RequestTrace: the spans of one request to a site that is traced (OpenTelemetry's semantic conventions for HTTP): its
// own, and one for each time that the origin, or code in its place, was asked for it. Those are told by traceparent
// what they belong to, so that an origin, a parent or a worker goes on with the trace.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/access_log.h"
#include "cache/owned_fields.h"
#include "net/http_exchange.h"
#include "traces/open_span.h"
#include "traces/tracer.h"

namespace verge::cache {

class RequestTrace {
 public:
  // Nothing where the request is not traced. `tracer` and `clock` outlive it.
  static std::optional<RequestTrace> begin(traces::Tracer& tracer, const Clock& clock, const net::HttpRequest& request);
  // Of a request that is made within another trace.
  static RequestTrace begin_within(const traces::Scope& scope, const net::HttpRequest& request);
  // What is done for the request belongs to its span.
  [[nodiscard]] traces::Scope within() const { return {tracer_, clock_, own_}; }

  // The origin, or code, is asked with these fields: they get another traceparent. A tracestate that came with none
  // that is valid does not go on.
  void asked(OwnedFields& fields, MonotonicTime now);
  // Which origin is asked for it now: "http://host[:port]". Another one where the last failed.
  void tries(std::string_view origin);
  // It answered, or did not: `error` says why; empty: it did.
  void answered(int status, std::string_view error, MonotonicTime now);
  // The request has its answer, or has none.
  void end(const AccessLogLine& line);

 private:
  static constexpr size_t kAsksMax = 8;

  struct Ask {
    traces::SpanId span = 0;
    MonotonicTime since{};
    MonotonicTime until{};  // since: it is not answered yet
    int status = 0;
    std::string error;
    std::string origin;  // that was asked last; empty: none, it is code
    int64_t tries = 0;
  };
  RequestTrace(std::shared_ptr<traces::Tracer> tracer, const Clock& clock, const traces::TraceContext& own,
               traces::SpanId parent, bool is_secure)
      : tracer_(std::move(tracer)), clock_(&clock), own_(own), parent_(parent), is_secure_(is_secure) {}

  std::shared_ptr<traces::Tracer> tracer_;  // as of a Scope
  const Clock* clock_;
  traces::TraceContext own_;
  traces::SpanId parent_;  // of whoever sent the request; 0: nobody
  bool is_secure_;         // how it came
  std::vector<Ask> asks_;
  bool is_beyond_ = false;  // more were asked than are noted
};

}  // namespace verge::cache
