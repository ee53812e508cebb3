// What the http listener serves: POST /v1/events (devices and people), POST /v1/uplink, /v1/report and /v1/ask/RULE
// (children).
#include <fmt/format.h>

#include "base/log.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kEventsPath = "/v1/events";
constexpr std::string_view kUplinkPath = "/v1/uplink";
constexpr std::string_view kReportPath = "/v1/report";
// Of a batch as it comes: what 32 MiB of records that cannot be compressed take, and the frame around them.
constexpr size_t kBatchBytesMax = 33U << 20;

void respond_draining(net::HttpResponder& responder) {
  respond_problem(responder, 503, {"node.draining", "the node is shutting down", "send it again soon"},
                  {{"Retry-After", "1"}});
}

}  // namespace

std::optional<net::BodyLimit> Node::admit(size_t shard, const net::HttpRequest& head,
                                          net::HttpResponder& responder) const {
  if (sites_->proxy(shard).serves(head.host)) {
    return net::BodyLimit{.bytes_max = config_.http.body_bytes_max, .name = "http.body_bytes_max"};
  }
  const bool is_events = head.path == kEventsPath && config_.http.ingest;
  const bool is_uplink = head.path == kUplinkPath && config_.http.uplink;
  const bool is_report = head.path == kReportPath && config_.http.uplink;
  const bool is_ask = head.path.starts_with(AskReceiver::kPath) && config_.http.uplink;
  if (!is_events && !is_uplink && !is_report && !is_ask) {
    respond_problem(responder, 404,
                    {"http.not-found", fmt::format("nothing is served at {}", head.path),
                     "devices send to POST /v1/events, children to POST /v1/uplink"});
    return std::nullopt;
  }
  if (head.method != "POST") {
    respond_problem(responder, 405,
                    {"http.method", fmt::format("{} is not for {}", head.path, head.method), "use POST"},
                    {{"Allow", "POST"}});
    return std::nullopt;
  }
  if (draining_) {
    respond_draining(responder);
    return std::nullopt;
  }
  // RFC 9110 section 15.5.16.
  const std::string_view coding = net::find_field(head.fields, "Content-Encoding").value_or("identity");
  if (is_events && !net::equals_ignoring_case(coding, "identity")) {
    respond_problem(responder, 415,
                    {"ingest.coding", fmt::format("bodies with the content coding '{}' are not understood", coding),
                     "send it without a Content-Encoding"},
                    {{"Accept-Encoding", "identity"}});
    return std::nullopt;
  }
  if (!is_events && !authorize_child(shards_[shard], head, responder)) return std::nullopt;
  if (is_ask) return net::BodyLimit{.bytes_max = AskReceiver::kBytesMax, .name = "a question"};
  if (is_report) return net::BodyLimit{.bytes_max = overview::Report::kBytesMax, .name = "a report"};
  if (is_uplink) return net::BodyLimit{.bytes_max = kBatchBytesMax, .name = "a batch of records"};
  return net::BodyLimit{.bytes_max = config_.http.body_bytes_max, .name = "http.body_bytes_max"};
}

void Node::receive(size_t shard, const net::HttpRequest& request, net::HttpResponder responder) {
  if (sites_->proxy(shard).serves(request.host)) return sites_->proxy(shard).receive(request, std::move(responder));
  if (draining_) return respond_draining(responder);  // which began while the body came
  // The site that its head was admitted for may have gone while the body came.
  if (!admit(shard, request, responder)) return;
  if (request.path == kReportPath) {
    return shards_[shard].report_receiver->receive(request.body, std::move(responder));
  }
  if (request.path.starts_with(AskReceiver::kPath)) {
    return shards_[shard].ask_receiver->receive(request, std::move(responder));
  }
  shards_[shard].path->count_posted(request.body.size());
  if (request.path == kEventsPath) return shards_[shard].ingest_receiver->receive(request, std::move(responder));
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

}  // namespace verge::node
