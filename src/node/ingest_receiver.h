// IngestReceiver: the requests of POST /v1/events that come to one loop, from the body to the answer.
//
// A body may hold 10,000 events. To parse and evaluate them takes the time in which thousands of decisions should have
// been made, so that a long body is parsed by the worker, and what comes back is evaluated in slices (event_path.h).
// Short ones are parsed here: a single event is decided upon in the turn in which it came. Bodies and events that are
// not evaluated yet are bounded together; a request that would be too much for that is refused: its client sends again.
#pragma once

#include <functional>
#include <unordered_map>

#include "net/http_exchange.h"
#include "node/config.h"
#include "node/event_path.h"
#include "runtime/loop.h"

namespace verge::node {

class IngestReceiver {
 public:
  static constexpr size_t kHeldBytesMax = 64U << 20;

  // `node`: who answers. All outlive the receiver.
  IngestReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, const NodeConfig& node,
                 size_t held_bytes_max = kHeldBytesMax);

  // On the loop. Codes of refusals: node.draining, ingest.busy, ingest.not-delivered, those of parse_posted_events(),
  // and of the spool.
  void receive(const net::HttpRequest& request, net::HttpResponder responder);
  // Refuses what comes from now on, and calls `idle`, once, when all that came before is answered.
  void drain(std::function<void()> idle);

  // The most memory that the events of a body of `bytes` take until they are evaluated.
  static size_t cost_of(size_t bytes);

 private:
  // When a request came, and in which trace whoever sent it is.
  struct Arrival {
    MonotonicTime received{};
    std::optional<traces::TraceContext> caller;
  };
  void evaluate(Result<std::vector<PostedEvent>> events, const Arrival& arrival, size_t cost,
                net::HttpResponder responder);
  void answer(net::HttpResponder& responder, size_t accepted, const PostedOutcome& outcome) const;
  void end_one();

  runtime::Loop& loop_;
  runtime::Loop& worker_;
  EventPath& path_;
  const NodeConfig& node_;
  const size_t held_bytes_max_;
  size_t held_bytes_ = 0;
  std::unordered_map<uint64_t, net::HttpResponder> parsing_;  // whose bodies the worker has
  uint64_t next_number_ = 1;
  size_t in_work_ = 0;
  std::function<void()> idle_;
};

}  // namespace verge::node
