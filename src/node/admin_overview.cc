// The overview over HTTP: this node, those below it, and what of them is worth a look.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "cache/accept_encoding.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/dashboard.h"
#include "node/node.h"
#include "node/openapi.h"
#include "node/position.h"
#include "node/problem.h"
#include "planner/latency.h"
#include "planner/places.h"

namespace verge::node {
namespace {

constexpr size_t kPointsMax = 1800;
constexpr size_t kPointsUsual = 360;
constexpr int64_t kSecondsMax = 3600;
constexpr size_t kPopularShown = 20;
// Of long routes against the straight line, where nothing was measured.
constexpr double kRouteFactor = 1.6;
constexpr double kAccessMs = 1;

std::optional<int64_t> number_in(const std::optional<std::string>& text, int64_t usual, int64_t max) {
  if (!text) return usual;
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (problem != std::errc{} || end != text->data() + text->size() || number < 1 || number > max) return std::nullopt;
  return number;
}

void respond_json(net::HttpResponder& responder, const std::string& body) {
  responder.respond({.status = 200,
                     .content_type = "application/json",
                     .fields = {{"Cache-Control", "no-store"}},
                     .body = body + "\n"});
}

void respond_busy(net::HttpResponder& responder) {
  respond_problem(
      responder, 503,
      {"admin.streams", fmt::format("{} streams are watched already", LiveStreams::kStreamsMax), "close a dashboard"},
      {{"Retry-After", "5"}});
}

}  // namespace

bool AdminApi::answer_overview(const net::HttpRequest& request, net::HttpResponder& responder) {
  const std::string_view path = request.path;
  overview_.look();
  if (request.method == "HEAD" && (path == "/v1/stream" || path == "/v1/tail")) {
    responder.respond({.status = 200, .content_type = "text/event-stream", .fields = {}, .body = {}});
  } else if (path == "/v1/now") {
    respond_json(responder, overview_.now_json());
  } else if (path == "/v1/tree") {
    respond_json(responder, overview_.tree_json(0));
  } else if (path == "/v1/insights") {
    respond_json(responder, overview_.insights_json());
  } else if (path == "/v1/goals") {
    respond_json(responder, overview_.goals_json());
  } else if (path == "/v1/history") {
    answer_history(request, responder);
  } else if (path == "/v1/requests") {
    Sites* sites = node_.sites();
    respond_json(responder, sites == nullptr ? R"({"urls":[],"tags":[]})" : sites->popular_json(kPopularShown));
  } else if (path == "/v1/latency") {
    answer_latency(request, responder);
  } else if (path == "/v1/stream") {
    if (streams_.is_full()) {
      respond_busy(responder);
    } else {
      streams_.watch_state(std::move(responder));
    }
  } else if (path == "/v1/tail") {
    answer_tail(request, responder);
  } else if (path == "/v1/openapi.json") {
    responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = openapi_json()});
  } else {
    return false;
  }
  return true;
}

bool AdminApi::answer_dashboard(const net::HttpRequest& request, net::HttpResponder& responder) {
  const std::optional<DashboardFile> file = dashboard_file(request.path);
  if (!file) return false;
  static constexpr std::array kCodings = {compress::ContentCoding::kGzip};
  const bool is_packed = cache::preferred_coding(request.fields, kCodings).has_value();
  const std::string tag = fmt::format("\"{}{}\"", file->tag, is_packed ? "-gzip" : "");
  const std::string plain = is_packed ? std::string() : file->plain();
  // Names of assets change with what they hold; the page that names them is asked for again.
  const bool is_asset = file->path.starts_with("/assets/");
  net::HttpResponse response{.status = 200,
                             .content_type = file->type,
                             .fields = {{"ETag", tag},
                                        {"Vary", "Accept-Encoding"},
                                        {"Cache-Control", is_asset ? "max-age=31536000, immutable" : "no-cache"},
                                        {"Content-Security-Policy", kDashboardPolicy},
                                        {"X-Content-Type-Options", "nosniff"},
                                        {"Referrer-Policy", "no-referrer"}},
                             .body = is_packed ? file->body : plain};
  if (request.field("if-none-match") == tag) {
    response.status = 304;
    response.body = {};
  } else if (is_packed) {
    response.fields.push_back({"Content-Encoding", "gzip"});
  }
  responder.respond(response);
  return true;
}

void AdminApi::answer_history(const net::HttpRequest& request, net::HttpResponder& responder) {
  const auto refuse = [&](std::string what, std::string fix) {
    respond_problem(responder, 400, {"history.query", std::move(what), std::move(fix)});
  };
  const auto seconds = number_in(net::query_parameter(request.query, "seconds"), kSecondsMax, kSecondsMax);
  if (!seconds) return refuse("?seconds= is not understood", fmt::format("give a number from 1 to {}", kSecondsMax));
  const auto points = number_in(net::query_parameter(request.query, "points"), kPointsUsual, kPointsMax);
  if (!points) return refuse("?points= is not understood", fmt::format("give a number from 1 to {}", kPointsMax));
  std::vector<overview::Figure> figures;
  if (const auto series = net::query_parameter(request.query, "series")) {
    std::string_view rest = *series;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      const std::optional<overview::Figure> figure = overview::parse_figure(name);
      if (!figure) return refuse(fmt::format("there is no series '{}'", name), "see the members of figures in /v1/now");
      if (std::ranges::find(figures, *figure) == figures.end()) figures.push_back(*figure);
    }
  } else {
    for (size_t i = 0; i < overview::kFigureCount; ++i) figures.push_back(static_cast<overview::Figure>(i));
  }
  respond_json(responder,
               overview_.history().json(figures, std::chrono::seconds(*seconds), static_cast<size_t>(*points)));
}

// From physics: light in glass over a usual detour, and what the node is loaded with.
void AdminApi::answer_latency(const net::HttpRequest& request, net::HttpResponder& responder) {
  const std::string place = net::query_parameter(request.query, "place").value_or("");
  const std::optional<planner::Coordinates> at = parse_position(place);
  if (!at) {
    return respond_problem(responder, place.empty() ? 400 : 404,
                           {"latency.place", fmt::format("'{}' is no place that is known here", place),
                            "give a large city, a cloud's region, or degrees such as 51.5,11.97"});
  }
  struct Found {
    overview::NodeReport node;
    double distance_km = 0;
    planner::LatencyPrediction predicted;
  };
  std::vector<Found> found;
  for (overview::NodeReport& node : overview_.nodes()) {
    if (!node.position) continue;
    const planner::Coordinates there{.latitude = node.position->latitude, .longitude = node.position->longitude};
    const double km = planner::great_circle_km(*at, there);
    const double cpu = node.figures[overview::Figure::kCpu];
    planner::LatencyPrediction predicted =
        planner::predict_latency({.distance_km = km, .factor = kRouteFactor, .access_ms = kAccessMs});
    // How busy it is says how sure that is; how busy one is that is not heard of, nobody knows, and one that is not
    // there answers nobody.
    const bool is_live = node.state == overview::State::kLive;
    predicted.confidence = planner::confidence(is_live && std::isfinite(cpu) ? cpu : 1);
    if (node.state == overview::State::kOffline) predicted.confidence = 0;
    found.push_back({std::move(node), km, predicted});
  }
  std::ranges::sort(found, {}, [](const Found& each) { return each.predicted.total_ms; });
  std::string out = fmt::format(R"({{"place":{},"latitude":{:.4f},"longitude":{:.4f},"nodes":[)", json_string(place),
                                at->latitude, at->longitude);
  for (const Found& each : found) {
    fmt::format_to(
        std::back_inserter(out),
        R"({}{{"node":{},"site":{},"state":"{}","distance_km":{:.0f},"p10_ms":{:.1f},"latency_ms":{:.1f},"p90_ms":{:.1f},"confidence":{:.3f}}})",
        out.back() == '[' ? "" : ",", json_string(each.node.name), json_string(each.node.site),
        name_of(each.node.state), each.distance_km, each.predicted.p10_ms, each.predicted.total_ms,
        each.predicted.p90_ms, each.predicted.confidence);
  }
  respond_json(responder, out.append("]}"));
}

void AdminApi::answer_tail(const net::HttpRequest& request, net::HttpResponder& responder) {
  std::string filter = net::query_parameter(request.query, "topic").value_or("#");
  if (!is_topic_filter(filter)) {
    return respond_problem(responder, 400,
                           {"events.query", fmt::format("?topic={} is not understood", filter),
                            "give a topic filter such as plant/+/oven"});
  }
  std::string rule = net::query_parameter(request.query, "rule").value_or("");
  if (!rule.empty() && node_.rules_json(rule).empty()) {
    return respond_problem(responder, 404,
                           {"rules.unknown", fmt::format("there is no rule {}", printable(rule)), "see GET /v1/rules"});
  }
  if (streams_.is_full()) return respond_busy(responder);
  streams_.watch_tail(std::move(filter), std::move(rule), std::move(responder));
}

}  // namespace verge::node
