// What the http listener serves: POST /v1/events (devices and people) and POST /v1/uplink (children).
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "node/ingest.h"
#include "node/node.h"
#include "node/problem.h"
#include "spool/batch.h"

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
  receive_batch(*shards_[shard].path, request, std::move(responder));
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

void Node::receive_batch(EventPath& path, const net::HttpRequest& request, net::HttpResponder responder) {
  const Result<spool::Batch> batch = spool::Batch::parse(request.body.view());
  if (!batch) return respond_problem(responder, 400, batch.error());
  if (batch->header.node == id_) {
    return respond_problem(responder, 409,
                           {"uplink.loop", "the batch comes from this very node", "set parent.url to another node"});
  }
  ChildBatch climbing{.header = batch->header};
  for (const spool::Batch::Record& record : batch->records) {
    EventView event = record.event;
    // An event that comes back to where it entered has gone round in a circle of parents: here it ends.
    if (event.has_origin && event.origin_node == id_) {
      if (!circle_seen_.exchange(true)) {
        log_error("node",
                  "events of this node come back from {}: the parents form a circle; set parent.url so that the "
                  "topmost node has none",
                  batch->header.name);
      }
      continue;
    }
    if (!event.has_origin) {
      event.has_origin = true;
      event.origin_node = batch->header.node;
      event.origin_name = batch->header.name;
      event.origin_sequence = record.sequence;
    }
    ChildBatch::Record& kept = climbing.records.emplace_back();
    kept.sequence = record.sequence;
    append_event(kept.event, event);
  }
  auto held = std::make_shared<net::HttpResponder>(std::move(responder));
  path.climb(*children_, std::move(climbing), [held](const ChildBatch& stored) {
    size_t fresh = 0;
    size_t known = 0;
    for (const ChildBatch::Fate fate : stored.fates) {
      if (fate == ChildBatch::Fate::kRefused) {
        // What is too large stays so: the child sets it aside, and the rest goes on.
        if (stored.error.code.ends_with(".too-large")) return respond_problem(*held, 413, stored.error);
        return respond_problem(*held, 503, stored.error, {{"Retry-After", "1"}});
      }
      (fate == ChildBatch::Fate::kStored ? fresh : known) += 1;
    }
    const std::string body = fmt::format(R"({{"durable":true,"stored":{},"known":{}}})", fresh, known);
    held->respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
}

}  // namespace verge::node
