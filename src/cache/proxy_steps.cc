// What is done with a request before the cache is asked: the client's own address, the rule for its path, limits,
// redirects, signatures, files.
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "cache/proxy.h"
#include "net/http_response.h"

namespace verge::cache {

std::string Proxy::status_of(std::string_view detail) const {
  std::string text;
  append_cache_status(text, name_, {.forwarded = {}, .detail = detail});
  return text;
}

void Proxy::take_steps(const net::HttpRequest& request, net::HttpResponder responder, size_t site,
                       const Nesting& nesting) {
  const SiteSet& set = *serving_->set;
  const SiteOptions& options = set.sites[site];
  net::ForwardedClient forwarded;
  // A fragment of a composed page is asked for by this node, in the name of a client that it knows.
  // Code that is called for a request makes its own requests in that client's name, too.
  const bool is_fragment = nesting.depth > 0 || nesting.code != 0;
  if (!is_fragment && !set.trusted_proxies.empty() && net::any_contains(set.trusted_proxies, request.peer)) {
    forwarded = net::forwarded_client(request.fields, set.forwarded_field, set.trusted_proxies);
  }
  const net::Address client = forwarded.address.value_or(request.peer);
  const bool is_secure = forwarded.is_secure.value_or(request.is_secure);
  std::string scratch;
  const std::string_view path = plain_path(request.path, scratch);
  PathMatch match;
  const std::optional<size_t> rule = rule_for(options, path, is_secure, &match);
  const PathPolicy& policy = rule ? options.rules[*rule].policy : options.policy;

  // What origins and the log see.
  std::string query, target;
  net::HttpRequest seen{.method = request.method,
                        .target = request.target,
                        .host = request.host,
                        .path = request.path,
                        .query = request.query,
                        .fields = request.fields,
                        .body = request.body,
                        .peer = client,
                        .peer_is_verified = request.peer_is_verified,
                        .is_secure = is_secure,
                        .protocol = request.protocol};
  RequestLimiter::Verdict limited;
  if (!is_fragment && policy.limit && set.limiter) limited = set.limiter->admit(*policy.limit, client, loop_.now());
  responder = tap(seen, std::move(responder), policy, std::move(limited.ticket), nesting, is_fragment);
  Nesting within;
  const Nesting* its = &nesting;
  if (note_) {
    const std::optional<RequestTrace>& trace = note_->trace;
    if (trace) {
      within = nesting;
      within.trace = std::make_shared<const traces::Scope>(trace->within());
      its = &within;
    }
  }
  if (!limited.admitted && policy.limit) return refuse_limited(responder, *policy.limit, limited.retry_after);
  if (policy.redirect) return redirect(responder, seen, *policy.redirect, path, match);
  // What code asks for behind itself was found signed when it was called.
  if (policy.signature && !is_behind_code(request.host, request.path, nesting)) {
    const std::string_view refusal = policy.signature->refusal(plain_host(request.host), request.path, request.query,
                                                               request.fields, now_ms() / 1000);
    if (!refusal.empty()) {
      counters_.not_signed.add();
      return respond_error(responder, 403, refusal, status_of("not-signed"));
    }
    query = query_without(request.query, std::array{std::string(SignatureCheck::kParameters)});
    target = request.path;
    if (!query.empty()) target.append("?").append(query);
    seen.query = query;
    seen.target = target;
  }
  if (policy.root) {
    counters_.files.add();
    const bool is_prefix = rule && options.rules[*rule].pattern.kind == PathPattern::Kind::kPrefix;
    return file_answers_.answer(seen, std::move(responder), set.files, *policy.root, is_prefix ? match.rest : path,
                                path);
  }
  if (options.origins.empty() && !has_code_for(request.host, request.path, nesting)) {
    return respond_error(responder, 404, "nothing is served here", status_of("no-origin"));
  }
  if (policy.ignored_query.empty() || seen.query.empty()) {
    return ask(seen, std::move(responder), site, policy, seen.query, *its);
  }
  ask(seen, std::move(responder), site, policy, query_without(seen.query, policy.ignored_query), *its);
}

net::HttpResponder Proxy::tap(const net::HttpRequest& request, net::HttpResponder responder, const PathPolicy& policy,
                              RequestLimiter::Ticket ticket, const Nesting& nesting, bool is_within) {
  note_ = nullptr;
  std::shared_ptr<AccessLog> log;
  if (!is_within) log = serving_->set->access_log;
  std::optional<RequestTrace> trace;
  if (nesting.trace) {
    trace = RequestTrace::begin_within(*nesting.trace, request);
  } else if (!is_within && shared_.tracer != nullptr) {
    trace = RequestTrace::begin(*shared_.tracer, shared_.clock, request);
  }
  const bool has_edits = !is_within && !policy.answer_fields.empty();
  const bool is_limited = !is_within && policy.limit;
  if (!log && !trace && !has_edits && !is_limited) return responder;
  if (log || trace) note_ = std::make_shared<ExchangeNote>(ExchangeNote{.trace = std::move(trace)});
  auto made = std::make_unique<AnswerTap>(request, std::move(responder),
                                          AnswerTap::Options{.keeps = serving_,
                                                             .edits = has_edits ? &policy.answer_fields : nullptr,
                                                             .log = log,
                                                             .ticket = std::move(ticket),
                                                             .time = shared_.clock.wall(),
                                                             .note = note_},
                                          [this](AnswerTap& ended) { taps_.erase(&ended); });
  AnswerTap& made_tap = *made;
  taps_.emplace(&made_tap, std::move(made));
  return net::HttpResponder(made_tap);
}

// RFC 6585 section 4; draft-ietf-httpapi-ratelimit-headers.
void Proxy::refuse_limited(net::HttpResponder& responder, const RequestLimit& limit, Duration retry_after) {
  counters_.limited.add();
  const auto seconds = std::max<int64_t>(1, std::chrono::ceil<std::chrono::seconds>(retry_after).count());
  const std::string after = std::to_string(seconds);
  const std::string status = status_of("limited");
  const std::string_view body = "429 Too Many Requests: this client asks for too much at a time\n";
  net::HttpResponse response{
      .status = 429,
      .content_type = "text/plain; charset=utf-8",
      .fields = {{"Cache-Control", "no-store"}, {"Retry-After", after}, {"Cache-Status", status}},
      .body = body};
  std::string policy, state;
  if (limit.a_second > 0) {
    const auto window = std::max<int64_t>(1, std::llround(static_cast<double>(limit.burst) / limit.a_second));
    policy = fmt::format("\"client\";q={};w={}", limit.burst, window);
    state = fmt::format("\"client\";r=0;t={}", seconds);
    response.fields.insert(response.fields.end(), {{"RateLimit-Policy", policy}, {"RateLimit", state}});
  }
  responder.respond(response);
}

void Proxy::redirect(net::HttpResponder& responder, const net::HttpRequest& request, const Redirect& to,
                     std::string_view path, const PathMatch& match) {
  counters_.redirected.add();
  const std::string status = status_of("redirect");
  const std::string location = redirect_target(to, request.host, path, match, request.query);
  responder.respond({.status = to.status,
                     .content_type = {},
                     .fields = {{"Location", location}, {"Cache-Status", status}},
                     .body = {}});
}

}  // namespace verge::cache
