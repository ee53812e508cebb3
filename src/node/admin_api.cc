#include "node/admin_api.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/event_query.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr size_t kLimitMax = 100'000;

template <class T>
bool parse_number(const std::string& text, T& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && end == text.data() + text.size();
}

Result<EventQuery> query_of(std::string_view parameters) {
  EventQuery query;
  const auto get = [&](std::string_view name) { return net::query_parameter(parameters, name); };
  const auto wrong = [](std::string_view name, const std::string& value, std::string_view fix) {
    return fail("events.query", fmt::format("?{}={} is not understood", name, value), std::string(fix));
  };
  if (const auto topic = get("topic")) {
    if (!is_topic_filter(*topic)) return wrong("topic", *topic, "give a topic filter such as plant/+/oven");
    query.topic_filter = *topic;
  }
  query.device = get("device").value_or("");
  if (const auto stream = get("stream")) {
    query.stream = parse_priority(*stream);
    if (!query.stream) return wrong("stream", *stream, "use critical, high, normal or low");
  }
  if (const auto kind = get("kind")) {
    for (const EventKind known : {EventKind::kMessage, EventKind::kSelection, EventKind::kAction}) {
      if (*kind == name_of(known)) query.kind = known;
    }
    if (!query.kind) return wrong("kind", *kind, "use message, selection or action");
  }
  if (const auto since = get("since_us"); since && !parse_number(*since, query.since.microseconds)) {
    return wrong("since_us", *since, "give microseconds since 1970");
  }
  if (const auto until = get("until_us"); until && !parse_number(*until, query.until.microseconds)) {
    return wrong("until_us", *until, "give microseconds since 1970");
  }
  if (const auto limit = get("limit"); limit && (!parse_number(*limit, query.limit) || query.limit > kLimitMax)) {
    return wrong("limit", *limit, fmt::format("give a number up to {}", kLimitMax));
  }
  if (const auto after = get("after"); after && !after->empty()) {
    query.after = EventPosition::parse(*after);
    if (!query.after) return wrong("after", *after, "give a position as an answer had it, such as normal:17");
  }
  return query;
}

}  // namespace

AdminApi::AdminApi(Node& node, runtime::Loop& loop)
    : node_(node),
      server_(loop, {.body_bytes_max = 1U << 16, .connections_max = 256},
              [this](const net::HttpRequest& request, net::HttpResponder responder) {
                receive(request, std::move(responder));
              }) {}

void AdminApi::receive(const net::HttpRequest& request, net::HttpResponder responder) {
  if (request.method != "GET" && request.method != "HEAD") {
    return respond_problem(responder, 405, {"http.method", "only GET is served here", "use GET"},
                           {{"Allow", "GET, HEAD"}});
  }
  const auto text = [&](int status, std::string_view type, std::string_view body) {
    responder.respond({.status = status, .content_type = type, .fields = {}, .body = body});
  };
  if (request.path == "/healthz") return text(200, "text/plain", "ok\n");
  if (request.path == "/readyz") {
    const std::string reason = node_.not_ready();
    return reason.empty() ? text(200, "text/plain", "ready\n") : text(503, "text/plain", reason + "\n");
  }
  if (request.path == "/metrics") return text(200, "text/plain; version=0.0.4; charset=utf-8", node_.metrics_text());
  if (request.path == "/v1/status") return text(200, "application/json", node_.status_json() + "\n");
  if (request.path == "/v1/events") return answer_events(request, responder);
  respond_problem(responder, 404,
                  {"http.not-found", fmt::format("nothing is served at {}", request.path),
                   "see /metrics, /healthz, /readyz, /v1/status, /v1/events"});
}

void AdminApi::answer_events(const net::HttpRequest& request, net::HttpResponder& responder) {
  if (const StoreConfig& store = node_.store(); store.engine == StoreEngine::kNats) {
    return respond_problem(
        responder, 501,
        {"events.in-stream",
         fmt::format("what children send is kept in the JetStream stream {}, not here", store.stream),
         fmt::format("read it with `nats stream view {}`; `verge events query --data-dir` has what "
                     "this node made itself",
                     store.stream)});
  }
  const Result<EventQuery> query = query_of(request.query);
  if (!query) return respond_problem(responder, 400, query.error());
  std::string body;
  const Result<QueryEnd> end = query_events(
      node_.file_system(), node_.spool_directory(), node_.durable_ends(), *query,
      [&](const FoundEvent& found) { body.append(event_json(found, node_.id(), node_.name())).push_back('\n'); });
  if (!end) return respond_problem(responder, 500, end.error());
  const std::string next = end->complete || !end->position ? "" : end->position->text();
  net::HttpResponse response{.status = 200, .content_type = "application/x-ndjson", .fields = {}, .body = body};
  if (!next.empty()) response.fields.push_back({"Verge-Next", next});
  responder.respond(response);
}

}  // namespace verge::node
