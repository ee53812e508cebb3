// LiveStreams: what the dashboard watches, as server-sent events (WHATWG HTML, section 9.2).
//
//   GET /v1/stream   now, tree, insights, goals: each again when it changed. What is sent is the state, not a log of
//                    changes, so that who does not take it in time misses nothing: it gets the state when it has room.
//   GET /v1/tail     event: what happens on the event path (node/event_tail.h); missing: how many were left out.
//
// Back-pressure: nothing is written to a client that has not taken kWaitingBytesMax of what it was sent; the server
// closes it after a while (HttpServerLimits::idle_timeout). At most kStreamsMax.
//
// Threading: on the loop of the admin listener.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "net/http_exchange.h"
#include "node/event_tail.h"
#include "node/overview.h"
#include "runtime/loop.h"

namespace verge::node {

class LiveStreams {
 public:
  static constexpr size_t kStreamsMax = 32;
  static constexpr size_t kWaitingBytesMax = 256U << 10;
  static constexpr Duration kLookEvery = std::chrono::milliseconds(500);

  // All outlive it.
  LiveStreams(runtime::Loop& loop, Overview& overview, EventTail& tail);
  ~LiveStreams();

  [[nodiscard]] bool is_full() const { return streams_.size() >= kStreamsMax; }
  // is_full() is false.
  void watch_state(net::HttpResponder responder);
  // `filter`: a valid topic filter; `rule`: may be empty.
  void watch_tail(std::string filter, std::string rule, net::HttpResponder responder);
  // What becomes of each message in the rule, and what it does: so many lines of JSON, or for so long.
  static constexpr uint64_t kTraceLinesMax = 10'000;
  static constexpr Duration kTraceMax = std::chrono::minutes(5);
  void watch_trace(std::string rule, uint64_t lines, Duration duration, net::HttpResponder responder);
  void end_all();

 private:
  struct Stream {
    net::HttpResponder responder;
    bool is_tail = false;
    std::optional<MonotonicTime> until;  // of a trace
    uint64_t lines_left = 0;             // likewise
    uint64_t tail = 0;                   // of the EventTail
    uint64_t samples = 0;                // what was sent last
    uint64_t change = 0;
    uint64_t removals = 0;
    std::string parent;
    std::string insights;
    std::string goals;
  };

  void begin(Stream stream);
  void look();
  void end(std::map<uint64_t, Stream>::iterator place);
  // The last thing a caller does with the stream: it may be gone afterwards.
  void send(Stream& stream);
  // What there is to be sent, noted as sent.
  std::string state_events(Stream& stream);
  std::string tail_events(Stream& stream);
  std::string trace_lines(Stream& stream);

  runtime::Loop& loop_;
  Overview& overview_;
  EventTail& tail_;
  std::map<uint64_t, Stream> streams_;
  uint64_t next_ = 1;
  runtime::Timer timer_;
};

}  // namespace verge::node
