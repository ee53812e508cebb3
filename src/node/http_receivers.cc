// What the http listener serves: POST /v1/events (devices and people) and POST /v1/uplink (children).
#include <fmt/format.h>

#include "base/text.h"
#include "node/ingest.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {

void Node::receive(size_t shard, const net::HttpRequest& request, net::HttpResponder responder) {
  const bool is_events = request.path == "/v1/events" && config_.http.ingest;
  const bool is_uplink = request.path == "/v1/uplink" && config_.http.uplink;
  if (!is_events && !is_uplink) {
    return respond_problem(responder, 404,
                           {"http.not-found", fmt::format("nothing is served at {}", request.path),
                            "devices send to POST /v1/events, children to POST /v1/uplink"});
  }
  if (request.method != "POST") {
    return respond_problem(responder, 405,
                           {"http.method", fmt::format("{} is not for {}", request.path, request.method), "use POST"},
                           {{"Allow", "POST"}});
  }
  if (draining_) {
    return respond_problem(responder, 503, {"node.draining", "the node is shutting down", "send it again soon"},
                           {{"Retry-After", "1"}});
  }
  if (is_events && request.body.size() > config_.http.body_bytes_max) {
    return respond_problem(responder, 413,
                           {"http.too-large",
                            fmt::format("the body has {} bytes, {} are allowed (http.body_bytes_max)",
                                        request.body.size(), config_.http.body_bytes_max),
                            "send the events in several requests"});
  }
  if (is_events) return receive_events(*shards_[shard].path, request, std::move(responder));
  if (!authorize_child(shards_[shard], request, responder)) return;
  shards_[shard].uplink_receiver->receive(request.body, std::move(responder));
}

bool Node::authorize_child(const Shard& shard, const net::HttpRequest& request, net::HttpResponder& responder) const {
  if (shard.uplink_tokens->empty() || request.peer_is_verified) return true;
  const std::optional<std::string_view> token = net::bearer_token(request.fields);
  if (token && shard.uplink_tokens->accept(*token)) return true;
  log_debug("node", "{} sent a batch without a token that is known here", request.peer.text());
  // RFC 6750 section 3: who showed none is told no reason.
  const std::string_view challenge =
      token ? R"(Bearer realm="verge uplink", error="invalid_token")" : R"(Bearer realm="verge uplink")";
  respond_problem(responder, 401,
                  {"uplink.unauthorized", token ? "this token is not known here" : "children must show a token",
                   "give the child (parent.token) one of this node's http.uplink_tokens"},
                  {{"WWW-Authenticate", challenge}});
  return false;
}

void Node::receive_events(EventPath& path, const net::HttpRequest& request, net::HttpResponder responder) {
  const MonotonicTime received = std::chrono::steady_clock::now();
  Result<std::vector<PostedEvent>> events = parse_posted_events(request.body, request.query);
  if (!events) return respond_problem(responder, 400, events.error());
  const size_t accepted = events->size();
  auto held = std::make_shared<net::HttpResponder>(std::move(responder));
  path.post(std::move(*events), received, [this, held, accepted](const PostedOutcome& outcome) {
    if (outcome.refused) {
      return respond_problem(*held, 503, *outcome.refused, {{"Retry-After", "1"}});
    }
    const double latency_ms = static_cast<double>(outcome.decided_in.count()) / 1e6;
    const std::string body = fmt::format(
        R"({{"accepted":{},"level":"{}","node":{},"latency_ms":{:.3f},"durability":"{}","stored":{},"known":{},"dropped":{},"actions":{}}})"
        "\n",
        accepted, name_of(config_.node.tier), json_string(config_.node.name), latency_ms,
        outcome.stored + outcome.known > 0 ? "local" : "none", outcome.stored, outcome.known, outcome.dropped,
        outcome.actions);
    held->respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
}

}  // namespace verge::node
