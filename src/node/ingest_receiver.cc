#include "node/ingest_receiver.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "node/ingest.h"
#include "node/problem.h"

namespace verge::node {
namespace {

// The class of durability that all of it reached.
std::string_view name_of_reached(const PostedOutcome& outcome) {
  const size_t kept = outcome.stored + outcome.known;
  return kept == 0 ? "none" : outcome.at_parent >= kept ? "parent" : "local";
}

// What takes some ten µs to parse does not wait for the worker.
constexpr size_t kParsedHereMax = 8U << 10;
// An event with its allocations, beside its text; the shortest text of one is "{},".
constexpr size_t kEventCost = 256;
constexpr size_t kEventTextMin = 3;

}  // namespace

IngestReceiver::IngestReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, const NodeConfig& node,
                               size_t held_bytes_max)
    : loop_(loop), worker_(worker), path_(path), node_(node), held_bytes_max_(held_bytes_max) {}

size_t IngestReceiver::cost_of(size_t bytes) {
  return 2 * bytes + std::min(kEventsAPostMax, bytes / kEventTextMin + 1) * kEventCost;
}

void IngestReceiver::receive(const net::HttpRequest& request, net::HttpResponder responder) {
  const Arrival arrival{
      .received = std::chrono::steady_clock::now(),
      .caller = traces::parse_traceparent(net::sole_field(request.fields, "traceparent").value_or(""))};
  if (idle_) {
    return respond_problem(responder, 503, {"node.draining", "the node is shutting down", "send it again soon"},
                           {{"Retry-After", "1"}});
  }
  const size_t cost = cost_of(request.body.size());
  if (held_bytes_ > 0 && held_bytes_ + cost > held_bytes_max_) {
    return respond_problem(responder, 503,
                           {"ingest.busy", "more events wait to be evaluated than this node holds in memory",
                            "send them again in a second"},
                           {{"Retry-After", "1"}});
  }
  held_bytes_ += cost;
  ++in_work_;
  if (request.body.size() <= kParsedHereMax) {
    return evaluate(parse_posted_events(request.body, request.query), arrival, cost, std::move(responder));
  }
  const uint64_t number = next_number_++;
  parsing_.emplace(number, std::move(responder));
  worker_.post([this, number, body = request.body, query = std::string(request.query), arrival, cost]() mutable {
    Result<std::vector<PostedEvent>> events = parse_posted_events(body, query);
    body = {};
    loop_.post([this, number, events = std::move(events), arrival, cost]() mutable {
      const auto place = parsing_.find(number);
      net::HttpResponder waiting = std::move(place->second);
      parsing_.erase(place);
      evaluate(std::move(events), arrival, cost, std::move(waiting));
    });
  });
}

void IngestReceiver::evaluate(Result<std::vector<PostedEvent>> events, const Arrival& arrival, size_t cost,
                              net::HttpResponder responder) {
  if (!events) {
    respond_problem(responder, 400, events.error());
    held_bytes_ -= cost;
    return end_one();
  }
  const size_t accepted = events->size();
  auto waiting = std::make_shared<net::HttpResponder>(std::move(responder));  // shared: a function is copied
  path_.post(
      std::move(*events), arrival.received, arrival.caller, [this, cost] { held_bytes_ -= cost; },
      [this, waiting, accepted](const PostedOutcome& outcome) {
        answer(*waiting, accepted, outcome);
        end_one();
      });
}

void IngestReceiver::answer(net::HttpResponder& responder, size_t accepted, const PostedOutcome& outcome) const {
  if (outcome.refused) return respond_problem(responder, 503, *outcome.refused, {{"Retry-After", "1"}});
  const double latency_ms = static_cast<double>(outcome.decided_in.count()) / 1e6;
  const std::string body = fmt::format(
      R"({{"accepted":{},"level":"{}","node":{},"latency_ms":{:.3f},"durability":"{}","stored":{},"known":{},"dropped":{},"actions":{}}})"
      "\n",
      accepted, name_of(node_.tier), json_string(node_.name), latency_ms, name_of_reached(outcome), outcome.stored,
      outcome.known, outcome.dropped, outcome.actions);
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
}

void IngestReceiver::drain(std::function<void()> idle) {
  idle_ = std::move(idle);
  if (in_work_ == 0) idle_();
}

void IngestReceiver::end_one() {
  --in_work_;
  if (idle_ && in_work_ == 0) idle_();
}

}  // namespace verge::node
