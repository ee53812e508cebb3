#include "cache/request_trace.h"

#include <algorithm>

#include "traces/http_attributes.h"

namespace verge::cache {
namespace {

constexpr std::string_view kField = "traceparent";
constexpr std::string_view kStateField = "tracestate";
constexpr int kClientErrors = 400;  // to who asked them
constexpr int kServerErrors = 500;
// error.type of what has no status.
constexpr std::string_view kOtherError = "_OTHER";

void add_server(std::vector<traces::Attribute>& to, std::string_view host, std::string_view scheme = {}) {
  traces::ServerName name = traces::server_name(host, scheme);
  to.push_back({"server.address", std::move(name.address)});
  if (name.port) to.push_back({"server.port", *name.port});
}

// Of a request's target, in whatever form (RFC 9112 section 3.2); empty: it has none.
std::string path_of(std::string_view target) {
  target = target.substr(0, target.find('?'));
  if (target.starts_with('/')) return std::string(target);
  const size_t authority = target.find("://");
  if (authority == std::string_view::npos) return {};
  const size_t path = target.find('/', authority + 3);
  return path == std::string_view::npos ? "/" : std::string(target.substr(path));
}

}  // namespace

std::optional<RequestTrace> RequestTrace::begin(traces::Tracer& tracer, const Clock& clock,
                                                const net::HttpRequest& request) {
  const std::optional<traces::TraceContext> from =
      traces::parse_traceparent(net::sole_field(request.fields, kField).value_or(""));
  const std::optional<traces::TraceContext> own = tracer.begin(from ? &*from : nullptr);
  if (!own) return std::nullopt;
  // The node's own, which outlives all requests.
  return RequestTrace(std::shared_ptr<traces::Tracer>(std::shared_ptr<void>(), &tracer), clock, *own,
                      from ? from->span : 0, request.is_secure);
}

RequestTrace RequestTrace::begin_within(const traces::Scope& scope, const net::HttpRequest& request) {
  const traces::TraceContext own{.trace = scope.context.trace,
                                 .span = traces::Tracer::new_span(),
                                 .sampled = true,
                                 .random = scope.context.random};
  return {scope.tracer, *scope.clock, own, scope.context.span, request.is_secure};
}

void RequestTrace::asked(OwnedFields& fields, MonotonicTime now) {
  // What is asked beyond the bound belongs to the request itself.
  traces::TraceContext context = own_;
  if (asks_.size() < kAsksMax) {
    context.span = traces::Tracer::new_span();
    asks_.push_back({.span = context.span, .since = now, .until = now, .error = {}, .origin = {}});
  } else {
    tracer_->count_lost();
    is_beyond_ = true;
  }
  const std::string value = traces::traceparent_of(context);
  std::vector<net::HttpField> all(fields.view().begin(), fields.view().end());
  std::erase_if(all, [this](const net::HttpField& field) {
    return net::equals_ignoring_case(field.name, kField) ||
           (parent_ == 0 && net::equals_ignoring_case(field.name, kStateField));
  });
  all.push_back({kField, value});
  fields = OwnedFields(all);
}

void RequestTrace::tries(std::string_view origin) {
  if (asks_.empty() || is_beyond_) return;
  asks_.back().origin = origin;
  ++asks_.back().tries;
}

void RequestTrace::answered(int status, std::string_view error, MonotonicTime now) {
  if (asks_.empty() || is_beyond_ || asks_.back().until != asks_.back().since) return;
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
                    .name = {},
                    .begin_ns = instant.now_ns() - line.duration.count(),
                    .end_ns = instant.now_ns(),
                    .attributes = {{"url.scheme", is_secure_ ? "https" : "http"},
                                   {"client.address", std::string(line.client)},
                                   {"http.response.body.size", static_cast<int64_t>(line.bytes)},
                                   {"verge.cache", std::string(line.cache_status)}}};
  span.name = traces::add_method(span.attributes, line.method);
  add_server(span.attributes, line.host);
  // Without the query, which may be a signature.
  const std::string path = path_of(line.target);
  if (!path.empty()) span.attributes.push_back({"url.path", path});
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
                       .error = ask.error};
    traces::add_method(asked.attributes, line.method);
    if (const size_t scheme_end = ask.origin.find("://"); scheme_end != std::string::npos) {
      const std::string_view origin = ask.origin;
      add_server(asked.attributes, origin.substr(scheme_end + 3), origin.substr(0, scheme_end));
      asked.attributes.push_back({"url.full", traces::full_url(ask.origin + path)});
      if (ask.tries > 1) asked.attributes.push_back({"http.request.resend_count", ask.tries - 1});
    } else {
      add_server(asked.attributes, line.host);
      if (!path.empty()) asked.attributes.push_back({"url.path", path});
    }
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
