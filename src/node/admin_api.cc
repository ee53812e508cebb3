#include "node/admin_api.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/node.h"
#include "node/problem.h"
#include "node/worker_bundle.h"
#include "node/worker_thread.h"

namespace verge::node {
namespace {

constexpr size_t kLimitMax = 100'000;
constexpr size_t kBodyBytesMax = 1U << 20;
// A value of 25 MiB in base64, with what belongs to it.
constexpr size_t kKvBodyBytesMax = 36U << 20;
constexpr std::string_view kWorkersPath = "/v1/workers";

template <class T>
bool parse_number(const std::string& text, T& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && end == text.data() + text.size();
}

// What is served at a path, and which query parameters that has. A part of the path in braces is any; {key} is the
// whole rest.
struct Served {
  std::string_view path;
  std::vector<std::string> parameters;
  std::string_view method;  // empty: whichever is served and has no line of its own before this
};

bool is_at(std::string_view path, std::string_view served) {
  while (!served.empty()) {
    if (path.empty()) return false;
    const bool is_any = served.starts_with("/{");
    const size_t end = std::min(served.find('/', 1), served.size());
    const size_t its = served == "/{key}" ? path.size() : std::min(path.find('/', 1), path.size());
    if (is_any ? its < 2 : path.substr(0, its) != served.substr(0, end)) return false;
    path.remove_prefix(its);
    served.remove_prefix(end);
  }
  return path.empty();
}

// A slip in a name would go unnoticed, and the answer be of something else.
std::optional<Error> unknown_parameter(const net::HttpRequest& request) {
  static const std::vector<Served> kServed = {
      {"/v1/events", {"topic", "device", "kind", "stream", "since_us", "until_us", "limit", "after"}, {}},
      {"/v1/cache", {"url"}, {}},
      {"/v1/purge", {}, {}},
      {"/v1/request", {}, {}},
      {"/v1/mqtt/clients", {"client", "limit"}, {}},
      {"/v1/mqtt/clients/{id}", {"session"}, {}},
      {"/v1/mqtt/subscriptions", {"client", "limit"}, {}},
      {"/v1/mqtt/retained", {"filter", "limit"}, {}},
      {"/v1/mqtt/bridges", {}, {}},
      {"/v1/twins", {"limit", "after"}, {}},
      {"/v1/twins/{device}", {"version"}, "DELETE"},
      {"/v1/twins/{device}", {}, {}},
      {"/v1/kv", {}, {}},
      {"/v1/kv/{namespace}", {"first_line"}, "POST"},
      {"/v1/kv/{namespace}", {"prefix", "limit", "cursor", "values"}, {}},
      {"/v1/kv/{namespace}/{key}", {"ttl", "expiration", "metadata"}, "PUT"},
      {"/v1/kv/{namespace}/{key}", {}, {}},
      {"/v1/queues", {}, {}},
      {"/v1/queues/{name}", {"limit"}, {}},
      {"/v1/queues/{name}/retry", {"to"}, {}},
      {"/v1/rules", {}, {}},
      {"/v1/rules/{name}", {}, {}},
      {"/v1/rules/{name}/start", {}, {}},
      {"/v1/rules/{name}/stop", {}, {}},
      {"/v1/rules/{name}/trace", {"lines", "seconds"}, {}},
      {"/v1/workers", {}, {}},
      {"/v1/workers/{name}", {}, {}},
      {"/v1/workers/{name}/rollback", {"version"}, {}},
      {"/v1/workers/{name}/console", {"after", "calls"}, {}},
      {"/v1/status", {}, {}},
      {"/v1/now", {}, {}},
      {"/v1/tree", {}, {}},
      {"/v1/history", {"seconds", "points", "series"}, {}},
      {"/v1/insights", {}, {}},
      {"/v1/goals", {}, {}},
      {"/v1/requests", {}, {}},
      {"/v1/latency", {"place"}, {}},
      {"/v1/stream", {}, {}},
      {"/v1/tail", {"topic", "rule"}, {}},
      {"/v1/openapi.json", {}, {}}};
  if (request.query.empty()) return std::nullopt;
  const auto served = std::ranges::find_if(kServed, [&](const Served& each) {
    return (each.method.empty() || each.method == request.method) && is_at(request.path, each.path);
  });
  if (served == kServed.end()) return std::nullopt;
  const std::vector<std::string>& known = served->parameters;
  for (const std::string& name : net::query_parameter_names(request.query)) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string near = nearest(name, known);
    return Error{"http.unknown-parameter",
                 fmt::format("{} has no parameter '{}'", printable(request.path), printable(name)),
                 !near.empty()   ? fmt::format("did you mean '{}'?", near)
                 : known.empty() ? std::string("it has none")
                                 : fmt::format("it has {}", fmt::join(known, ", "))};
  }
  return std::nullopt;
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
  if (const auto limit = get("limit");
      limit && (!parse_number(*limit, query.limit) || query.limit == 0 || query.limit > kLimitMax)) {
    return wrong("limit", *limit, fmt::format("give a number from 1 to {}", kLimitMax));
  }
  if (const auto after = get("after"); after && !after->empty()) {
    query.after = EventPosition::parse(*after);
    if (!query.after) return wrong("after", *after, "give a position as an answer had it, such as normal:17");
  }
  return query;
}

}  // namespace

AdminApi::AdminApi(Node& node, runtime::Loop& loop, Overview& overview, EventTail& tail,
                   std::shared_ptr<const net::BearerTokens> tokens)
    : node_(node),
      loop_(loop),
      overview_(overview),
      access_(std::move(tokens)),
      server_(loop, {.body_bytes_max = kBodyBytesMax, .connections_max = 256},
              [this](const net::HttpRequest& request, net::HttpResponder responder) {
                receive(request, std::move(responder));
              }),
      streams_(loop, overview, tail) {
  server_.decide_by_head(
      [this](const net::HttpRequest& head, net::HttpResponder& responder) { return admit(head, responder); });
}

AdminApi::~AdminApi() {
  if (!query_thread_.joinable()) return;
  query_loop_.stop();
  query_thread_.join();
}

bool AdminApi::refuse_stranger(const net::HttpRequest& request, net::HttpResponder& responder) const {
  // Who may deploy needs no other token for that, nor for what workers keep.
  const bool is_of_workers =
      std::ranges::any_of(std::array{kWorkersPath, std::string_view("/v1/kv"), std::string_view("/v1/queues")},
                          [path = std::string_view(request.path)](std::string_view of) {
                            return path.starts_with(of) && (path.size() == of.size() || path[of.size()] == '/');
                          });
  if (is_of_workers && shows_deploy_token(request)) return false;
  const std::optional<AdminAccess::Refusal> refused = access_.refusal(request);
  if (!refused) return false;
  std::vector<net::HttpField> fields;
  if (refused->status == 401) fields.push_back({"WWW-Authenticate", R"(Bearer realm="verge admin")"});
  respond_problem(responder, refused->status, refused->error, std::move(fields));
  return true;
}

// What only those may send who may deploy is not read from others.
std::optional<net::BodyLimit> AdminApi::admit(const net::HttpRequest& head, net::HttpResponder& responder) const {
  const bool is_kv = std::string_view(head.path).starts_with("/v1/kv/");
  if (is_kv && (head.method == "PUT" || head.method == "POST")) {
    if (refuse_stranger(head, responder) || !authorize_deploy(head, responder)) return std::nullopt;
    return net::BodyLimit{.bytes_max = kKvBodyBytesMax, .name = "values of keys"};
  }
  if (head.path != kWorkersPath || head.method != "POST") {
    return net::BodyLimit{.bytes_max = kBodyBytesMax, .name = "the admin listener"};
  }
  if (refuse_stranger(head, responder) || !authorize_deploy(head, responder)) return std::nullopt;
  return net::BodyLimit{.bytes_max = kWorkerBundleBytesMax, .name = "a worker's bundle"};
}

void AdminApi::receive(const net::HttpRequest& request, net::HttpResponder responder) {
  if (refuse_stranger(request, responder)) return;
  if (const std::optional<Error> unknown = unknown_parameter(request)) return respond_problem(responder, 400, *unknown);
  if (request.path == "/v1/request") return answer_request(request, std::move(responder));
  if (request.path == "/v1/purge") return answer_purge(request, std::move(responder));
  if (request.path == "/v1/rules" || std::string_view(request.path).starts_with("/v1/rules/")) {
    return answer_rules(request, std::move(responder));
  }
  if (request.path == kWorkersPath || request.path.starts_with("/v1/workers/")) {
    return answer_workers(request, std::move(responder));
  }
  if (request.path == "/v1/kv" || std::string_view(request.path).starts_with("/v1/kv/")) {
    return answer_kv(request, std::move(responder));
  }
  if (request.path == "/v1/queues" || std::string_view(request.path).starts_with("/v1/queues/")) {
    return answer_queues(request, std::move(responder));
  }
  if (request.path == "/v1/twins" || std::string_view(request.path).starts_with("/v1/twins/")) {
    return answer_twins(request, std::move(responder));
  }
  if (std::string_view(request.path).starts_with("/v1/mqtt/")) return answer_mqtt(request, std::move(responder));
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
  if (request.path == "/v1/cache") return answer_explain(request, std::move(responder));
  if (request.path == "/v1/events") return answer_events(request, std::move(responder));
  if (answer_overview(request, responder) || answer_dashboard(request, responder)) return;
  respond_problem(responder, 404,
                  {"http.not-found", fmt::format("nothing is served at {}", request.path), "see /v1/openapi.json"});
}

void AdminApi::answer_purge(const net::HttpRequest& request, net::HttpResponder responder) {
  if (request.method != "POST") {
    return respond_problem(responder, 405, {"http.method", "a purge is posted", "use POST"}, {{"Allow", "POST"}});
  }
  Sites* sites = node_.sites();
  if (sites == nullptr) {
    return respond_problem(responder, 404,
                           {"http.not-found", "this node has no site", "add a [[site]] to its configuration"});
  }
  const Result<size_t> purged = sites->purge(request.body.view());
  if (!purged) return respond_problem(responder, purged.error().code == "cache.purge" ? 400 : 500, purged.error());
  const std::string body = fmt::format("{{\"purges\":{}}}\n", *purged);
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
}

void AdminApi::answer_explain(const net::HttpRequest& request, net::HttpResponder responder) {
  Sites* sites = node_.sites();
  if (sites == nullptr) {
    return respond_problem(responder, 404,
                           {"http.not-found", "this node has no site", "add a [[site]] to its configuration"});
  }
  const Result<std::string> said = sites->explain(net::query_parameter(request.query, "url").value_or(""));
  if (!said) return respond_problem(responder, 400, said.error());
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = *said + "\n"});
}

void AdminApi::answer_events(const net::HttpRequest& request, net::HttpResponder responder) {
  if (const StoreConfig& store = node_.store(); store.engine == StoreEngine::kNats) {
    return respond_problem(
        responder, 501,
        {"events.in-stream",
         fmt::format("what children send is kept in the JetStream stream {}, not here", store.stream),
         fmt::format("read it with `nats stream view {}`; `verge events query --data-dir` has what "
                     "this node made itself",
                     store.stream)});
  }
  Result<EventQuery> query = query_of(request.query);
  if (!query) return respond_problem(responder, 400, query.error());
  if (queries_.size() >= kQueriesMax && !end_slow_query()) {
    return respond_problem(
        responder, 503,
        {"events.busy", fmt::format("{} queries are under way already", kQueriesMax), "ask again in a second"},
        {{"Retry-After", "1"}});
  }
  if (!query_thread_.joinable()) {
    query_thread_ = std::thread([this] {
      lower_own_priority();
      query_loop_.run();
    });
  }
  const uint64_t number = next_query_++;
  queries_.emplace(number, Query{.responder = std::move(responder), .sent = std::nullopt});
  query_loop_.post([this, number, query = std::move(*query)] {
    loop_.post([this, number, page = read_page(query)] { send_page(number, page); });
  });
}

// The oldest whose client has had its time. False where there is none.
bool AdminApi::end_slow_query() {
  const auto slow = std::ranges::find_if(queries_, [this](const auto& entry) {
    return entry.second.sent && loop_.now() - *entry.second.sent >= kTakingTime;
  });
  if (slow == queries_.end()) return false;
  slow->second.responder.when_closed({});
  queries_.erase(slow);  // in the middle of its stream: its connection is closed
  return true;
}

AdminApi::Page AdminApi::read_page(const EventQuery& query) const {
  Page page;
  const Result<QueryEnd> end = query_events(node_.file_system(), node_.spool_directory(), node_.keys(),
                                            node_.durable_ends(), query, [&](const FoundEvent& found) {
                                              std::string lines;
                                              append_event_lines(lines, found, node_.id(), node_.name());
                                              if (!page.body.empty() && page.body.size() + lines.size() > kPageBytes)
                                                return Scan::kStopBefore;
                                              page.body.append(lines);
                                              return Scan::kGoOn;
                                            });
  if (!end) {
    page.error = end.error();
  } else if (const std::optional<EventPosition>& position = end->position; position && !end->complete) {
    page.next = position->text();
  }
  return page;
}

void AdminApi::send_page(uint64_t number, const Page& page) {
  const auto place = queries_.find(number);
  net::HttpResponder& responder = place->second.responder;
  if (!responder.is_open() || page.error) {
    if (page.error) respond_problem(responder, 500, *page.error);
    queries_.erase(place);
    return;
  }
  net::HttpResponse response{.status = 200, .content_type = "application/x-ndjson", .fields = {}, .body = page.body};
  if (!page.next.empty()) response.fields.push_back({"Verge-Next", page.next});
  place->second.sent = loop_.now();
  // As a stream, which says when the client has taken it all.
  responder.start_stream(response);
  responder.when_closed([this, number] { queries_.erase(number); });
  responder.when_drained([this, number] {
    const auto sent = queries_.find(number);
    sent->second.responder.finish();
    queries_.erase(sent);
  });
}

}  // namespace verge::node
