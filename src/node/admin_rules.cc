// The rules of the node over HTTP.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kRules = "/v1/rules";

int status_of(const Error& error) {
  if (error.code == "rules.unknown") return 404;
  if (error.code == "rules.exists" || error.code == "rules.configured") return 409;
  return error.code.starts_with("storage.") ? 500 : 400;
}

// With the line and the column of the SQL, where it is at fault.
void respond_refusal(net::HttpResponder& responder, const RuleRefusal& refusal) {
  if (!refusal.in_sql) return respond_problem(responder, status_of(refusal.error), refusal.error);
  const std::string body = fmt::format(R"({{"error":{{"code":{},"what":{},"fix":{},"line":{},"column":{}}}}})"
                                       "\n",
                                       json_string(refusal.error.code), json_string(refusal.error.what),
                                       json_string(refusal.error.fix), refusal.in_sql->line, refusal.in_sql->column);
  responder.respond(
      {.status = status_of(refusal.error), .content_type = "application/json", .fields = {}, .body = body});
}

}  // namespace

void AdminApi::answer_rules(const net::HttpRequest& request, net::HttpResponder responder) {
  const auto answer = [&](int status, const std::string& body) {
    responder.respond({.status = status, .content_type = "application/json", .fields = {}, .body = body + "\n"});
  };
  std::string_view rest = std::string_view(request.path).substr(kRules.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  std::string_view action;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    action = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
  }
  const std::optional<std::string> name = net::percent_decode(rest);
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  const bool is_known =
      name && (action.empty() || (!name->empty() && (action == "start" || action == "stop" || action == "trace")));
  if (!is_known) {
    return respond_problem(responder, 404,
                           {"http.not-found", fmt::format("nothing is served at {}", request.path),
                            "see /v1/rules, /v1/rules/NAME, /v1/rules/NAME/start, …/stop, …/trace"});
  }
  if (is_reading && action == "trace") return answer_trace(*name, request, responder);
  if (is_reading && action.empty()) {
    const std::string body = node_.rules_json(*name);
    if (!body.empty()) return answer(200, body);
    return respond_problem(responder, 404,
                           {"rules.unknown", fmt::format("there is no rule {}", *name), "see GET /v1/rules"});
  }
  Node::RuleChange change;
  if (request.method == "POST" && name->empty()) {
    change = [&](CreatedRules& rules, const auto& configured) { return rules.create(request.body.view(), configured); };
  } else if (request.method == "POST" && action == "start") {
    change = [&](CreatedRules& rules, const auto& configured) { return rules.start(*name, configured); };
  } else if (request.method == "POST" && action == "stop") {
    change = [&](CreatedRules& rules, const auto& configured) { return rules.stop(*name, configured); };
  } else if (request.method == "PUT" && !name->empty() && action.empty()) {
    change = [&](CreatedRules& rules, const auto& configured) {
      return rules.replace(*name, request.body.view(), configured);
    };
  } else if (request.method == "DELETE" && !name->empty() && action.empty()) {
    change = [&](CreatedRules& rules, const auto& configured) { return rules.remove(*name, configured); };
  } else {
    return respond_problem(responder, 405,
                           {"http.method", fmt::format("{} is not served at {}", request.method, request.path),
                            "GET and POST /v1/rules, GET, PUT and DELETE /v1/rules/NAME, POST …/start and …/stop"},
                           {{"Allow", action == "trace" ? "GET, HEAD"
                                      : !action.empty() ? "POST"
                                      : name->empty()   ? "GET, HEAD, POST"
                                                        : "GET, HEAD, PUT, DELETE"}});
  }
  if (const auto changed = node_.change_rules(change); !changed) return respond_refusal(responder, changed.error());
  answer(request.method == "POST" && name->empty() ? 201 : 200, node_.rules_json(""));
}

// As it happens, until there are so many lines or the time is over.
void AdminApi::answer_trace(const std::string& rule, const net::HttpRequest& request, net::HttpResponder& responder) {
  constexpr uint64_t kLines = 100;
  constexpr uint64_t kSeconds = 10;
  uint64_t lines = kLines;
  uint64_t seconds = kSeconds;
  for (const auto& [name, value] : {std::pair{std::string_view("lines"), &lines}, {"seconds", &seconds}}) {
    const std::optional<std::string> text = net::query_parameter(request.query, name);
    if (!text) continue;
    const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), *value);
    if (problem != std::errc{} || end != text->data() + text->size() || *value == 0) {
      return respond_wrong_parameter(responder, name, *text, "give a number from 1");
    }
  }
  if (node_.rules_json(rule).empty()) {
    return respond_problem(responder, 404,
                           {"rules.unknown", fmt::format("there is no rule {}", rule), "see GET /v1/rules"});
  }
  if (streams_.is_full()) {
    return respond_problem(responder, 503, {"admin.streams", "too many streams are watched already", "close one"},
                           {{"Retry-After", "5"}});
  }
  if (request.method == "HEAD") {
    return responder.respond({.status = 200, .content_type = "application/x-ndjson", .fields = {}, .body = {}});
  }
  seconds = std::min<uint64_t>(seconds, LiveStreams::kTraceMax / std::chrono::seconds(1));
  streams_.watch_trace(rule, lines, std::chrono::seconds(seconds), std::move(responder));
}

}  // namespace verge::node
