// The workers of the node over HTTP.
#include <charconv>

#include <fmt/format.h>

#include "net/bearer_tokens.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kWorkers = "/v1/workers";

int status_of(const Error& error) {
  if (error.code == "workers.unknown" || error.code == "workers.version") return 404;
  if (error.code == "workers.configured" || error.code == "workers.route-taken") return 409;
  return error.code.starts_with("storage.") || error.code == "workers.program" ? 500 : 400;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

bool AdminApi::shows_deploy_token(const net::HttpRequest& request) const {
  const std::optional<std::string_view> token = net::bearer_token(request.fields);
  return token && node_.deploy_tokens()->accept(*token);
}

bool AdminApi::authorize_deploy(const net::HttpRequest& request, net::HttpResponder& responder) const {
  // Whoever looks at somebody's page on this machine has a browser that can reach this listener.
  if (net::find_field(request.fields, "origin")) {
    respond_problem(responder, 403, {"http.from-page", "a web page may not deploy", "send it without Origin"});
    return false;
  }
  const std::shared_ptr<const net::BearerTokens> tokens = node_.deploy_tokens();
  if (tokens->empty()) {
    if (!node_.has_open_admin_listener()) return true;
    respond_problem(
        responder, 403,
        {"workers.deploy-refused", "this admin listener can be reached from other machines, and no token is set",
         "set workers.deploy_tokens, or listen on 127.0.0.1"});
    return false;
  }
  if (shows_deploy_token(request)) return true;
  const bool has_token = net::bearer_token(request.fields).has_value();
  respond_problem(responder, 401,
                  {"workers.unauthorized", has_token ? "this token is not known here" : "who deploys must show a token",
                   "give one of workers.deploy_tokens with --token-file"},
                  {{"WWW-Authenticate", R"(Bearer realm="verge workers")"}});
  return false;
}

void AdminApi::answer_workers(const net::HttpRequest& request, net::HttpResponder responder) {
  const auto answer = [&](int status, const std::string& body) {
    responder.respond({.status = status, .content_type = "application/json", .fields = {}, .body = body + "\n"});
  };
  std::string_view rest = std::string_view(request.path).substr(kWorkers.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  std::string_view action;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    action = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
  }
  const std::optional<std::string> name = net::percent_decode(rest);
  const bool is_known = name && (action.empty() || (!name->empty() && (action == "rollback" || action == "console")));
  if (!is_known) {
    return respond_problem(responder, 404,
                           {"http.not-found", fmt::format("nothing is served at {}", request.path),
                            "see /v1/workers, /v1/workers/NAME, /v1/workers/NAME/rollback, /v1/workers/NAME/console"});
  }
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  if (is_reading && action != "rollback") {
    const std::string body = node_.workers_json(*name);
    if (body.empty()) {
      return respond_problem(responder, 404,
                             {"workers.unknown", fmt::format("there is no worker {}", *name), "see GET /v1/workers"});
    }
    if (action.empty()) return answer(200, body);
    const std::string after_text = net::query_parameter(request.query, "after").value_or("0");
    const std::optional<uint64_t> after = number(after_text);
    const std::string calls = net::query_parameter(request.query, "calls").value_or("false");
    if (!after) return respond_wrong_parameter(responder, "after", after_text, "give what Verge-Next said, or nothing");
    if (calls != "true" && calls != "false") {
      return respond_wrong_parameter(responder, "calls", calls, "say true or false");
    }
    const auto [lines, last] = node_.worker_console(*name, *after, calls == "true");
    const std::string next = std::to_string(last);
    return responder.respond(
        {.status = 200, .content_type = "application/x-ndjson", .fields = {{"Verge-Next", next}}, .body = lines});
  }
  const bool is_deploy = request.method == "POST" && name->empty();
  const bool is_rollback = request.method == "POST" && action == "rollback";
  const bool is_removal = request.method == "DELETE" && !name->empty() && action.empty();
  if (!is_deploy && !is_rollback && !is_removal) {
    return respond_problem(
        responder, 405,
        {"http.method", fmt::format("{} is not served at {}", request.method, request.path),
         "GET and POST /v1/workers, GET and DELETE /v1/workers/NAME, POST …/rollback, GET …/console"},
        {{"Allow", action == "rollback"  ? "POST"
                   : action == "console" ? "GET, HEAD"
                   : name->empty()       ? "GET, HEAD, POST"
                                         : "GET, HEAD, DELETE"}});
  }
  // A deploy's was looked at before its body was read.
  if (!is_deploy && !authorize_deploy(request, responder)) return;
  Result<std::string> done;
  if (is_deploy) done = node_.deploy_worker(request.body.view());
  if (is_removal) done = node_.remove_worker(*name);
  if (is_rollback) {
    const std::string text = net::query_parameter(request.query, "version").value_or("0");
    const std::optional<uint64_t> version = number(text);
    if (!version) {
      return respond_problem(responder, 400,
                             {"workers.version", fmt::format("?version={} is no number", text), "see GET /v1/workers"});
    }
    done = node_.roll_back_worker(*name, *version);
  }
  if (!done) return respond_problem(responder, status_of(done.error()), done.error());
  answer(is_deploy ? 201 : 200, *done);
}

}  // namespace verge::node
