#include "cache/request_trace.h"

#include <algorithm>

#include "traces/http_attributes.h"

namespace verge::cache {
namespace {

constexpr std::string_view kField = "traceparent";
constexpr int kClientErrors = 400;  // to who asked them
constexpr int kServerErrors = 500;
// error.type of what has no status.
constexpr std::string_view kOtherError = "_OTHER";

void add_server(std::vector<traces::Attribute>& to, std::string_view host) {
  traces::ServerName name = traces::server_name(host, {});
  to.push_back({"server.address", std::move(name.address)});
  if (name.port) to.push_back({"server.port", *name.port});
}

}  // namespace

std::optional<RequestTrace> RequestTrace::begin(traces::Tracer& tracer, const Clock& clock,
                                                const net::HttpRequest& request) {
  const std::optional<std::string_view> field = request.field(kField);
  const std::optional<traces::TraceContext> from = field ? traces::parse_traceparent(*field) : std::nullopt;
  const std::optional<traces::TraceContext> own = tracer.begin(from ? &*from : nullptr);
  if (!own) return std::nullopt;
  // The node's own, which outlives all requests.
  return RequestTrace(std::shared_ptr<traces::Tracer>(std::shared_ptr<void>(), &tracer), clock, *own,
                      from ? from->span : 0, request.is_secure);
}

RequestTrace RequestTrace::begin_within(const traces::Scope& scope, const net::HttpRequest& request) {
  const traces::TraceContext own{scope.context.trace, traces::Tracer::new_span(), true};
  return {scope.tracer, *scope.clock, own, scope.context.span, request.is_secure};
}

void RequestTrace::asked(OwnedFields& fields, MonotonicTime now) {
  if (asks_.size() >= kAsksMax) return;
  asks_.push_back({.span = traces::Tracer::new_span(), .since = now, .until = now, .error = {}});
  const std::string value = traces::traceparent_of({.trace = own_.trace, .span = asks_.back().span, .sampled = true});
  std::vector<net::HttpField> all(fields.view().begin(), fields.view().end());
  std::erase_if(all, [](const net::HttpField& field) { return net::equals_ignoring_case(field.name, kField); });
  all.push_back({kField, value});
  fields = OwnedFields(all);
}

void RequestTrace::answered(int status, std::string_view error, MonotonicTime now) {
  if (asks_.empty() || asks_.back().until != asks_.back().since) return;
  Ask& last = asks_.back();
  last.until = now;
  last.status = status;
  last.error = error;
}

void RequestTrace::end(const AccessLogLine& line) {
  const traces::Instant instant(*clock_);
  traces::Span span{.trace = own_.trace,
                    .id = own_.span,
                    .parent = parent_,
                    .kind = traces::SpanKind::kServer,
                    .name = std::string(line.method),
                    .begin_ns = instant.now_ns() - line.duration.count(),
                    .end_ns = instant.now_ns(),
                    .attributes = {{"http.request.method", std::string(line.method)},
                                   {"url.scheme", is_secure_ ? "https" : "http"},
                                   {"client.address", std::string(line.client)},
                                   {"http.response.body.size", static_cast<int64_t>(line.bytes)},
                                   {"verge.cache", std::string(line.cache_status)}}};
  add_server(span.attributes, line.host);
  // Without the query, which may be a signature.
  const size_t path = span.attributes.size();
  span.attributes.push_back({"url.path", std::string(line.target.substr(0, line.target.find('?')))});
  if (line.status != 0) span.attributes.push_back({"http.response.status_code", static_cast<int64_t>(line.status)});
  if (line.status >= kServerErrors) {
    span.error = "answered " + std::to_string(line.status);
    span.attributes.push_back({"error.type", traces::error_type(line.status)});
  } else if (!line.complete) {
    span.attributes.push_back({"error.type", std::string(kOtherError)});
  }
  if (!line.complete) span.error = "the answer did not go out whole";
  for (const Ask& ask : asks_) {
    traces::Span asked{.trace = own_.trace,
                       .id = ask.span,
                       .parent = own_.span,
                       .kind = traces::SpanKind::kClient,
                       .name = "origin",
                       .begin_ns = instant.unix_ns(ask.since),
                       .end_ns = instant.unix_ns(ask.until),
                       .attributes = {{"http.request.method", std::string(line.method)}},
                       .error = ask.error};
    add_server(asked.attributes, line.host);
    asked.attributes.push_back(span.attributes[path]);
    if (ask.status != 0) asked.attributes.push_back({"http.response.status_code", static_cast<int64_t>(ask.status)});
    if (ask.status >= kClientErrors && asked.error.empty()) asked.error = "answered " + std::to_string(ask.status);
    if (ask.until == ask.since) {
      asked.end_ns = instant.now_ns();
      if (asked.error.empty()) asked.error = "nobody waited for its answer";
    }
    if (!asked.error.empty()) {
      asked.attributes.push_back(
          {"error.type", ask.status >= kClientErrors ? traces::error_type(ask.status) : std::string(kOtherError)});
    }
    tracer_->add(std::move(asked));
  }
  tracer_->add(std::move(span));
}

}  // namespace verge::cache
