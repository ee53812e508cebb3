// EventTraces: the spans of events as they climb through this node (traces/trace_context.h says how they are named).
//
//   entry   from its receipt, by MQTT, HTTP or from a child, until it is durable here
//     rules   from its receipt until a rule had made the record, or of a child's, while rules ran over it
//     spool   from when it was given to the spool until it was durable
//     uplink  from when it was read for the parent until the parent had it
//
// A message of which nothing is kept, and which led to commands or not, is traced by chance. One whose sender names a
// trace (traceparent) has a span in that as a request has (Tracer::begin()), and what is kept of it is linked to it.
//
// Threading: all of it from any thread.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string_view>

#include "base/clock.h"
#include "model/event.h"
#include "model/node_id.h"
#include "spool/child_batch.h"
#include "spool/spool.h"
#include "spool/uplink.h"
#include "traces/tracer.h"

namespace verge::node {

class EventTraces {
 public:
  // A record of this node's own that is traced: when what it comes of was received, and when it was made.
  struct Made {
    MonotonicTime received{};
    MonotonicTime made{};
    std::string rule;                            // that made it; empty: it is the message itself
    std::optional<traces::TraceContext> caller;  // who sent that message; nothing: its trace is not known
  };
  // What became of a message, or of all that one request posted.
  struct Taken {
    std::string_view name = "event";
    std::vector<traces::Attribute> attributes;
    MonotonicTime received{};
    std::vector<traces::TraceId> records;  // traced ones that it led to
  };

  EventTraces(traces::Tracer& tracer, const NodeId& node, const Clock& clock)
      : tracer_(tracer), node_(node), clock_(clock) {}

  // Whether a record that is made here is traced.
  [[nodiscard]] bool writes(const traces::TraceId& trace) const { return tracer_.writes(trace); }
  // Of a record as it is to be stored, if it is traced.
  [[nodiscard]] std::optional<traces::TraceId> trace_of_record(std::string_view event) const;
  // It is durable; `event` as it was stored.
  void stored(std::string_view event, const Made& made, Priority priority, MonotonicTime submitted);
  // What of rows that rules remembered is durable: each enters here, when it was given to the spool.
  void stored_rows(const spool::Submission& rows, MonotonicTime submitted);
  // Rules ran over it. It has a span of its own: in the trace of who sent it, or, where nothing of it was kept, in one
  // of its own.
  void taken(Taken what, const std::optional<traces::TraceContext>& caller);

  // What of a child's batch was new is durable.
  void received(const spool::ChildBatch& stored, MonotonicTime since);
  // Rules ran over one of its events.
  void evaluated(const EventView& event, MonotonicTime since, size_t commands);

  // For the uplink.
  [[nodiscard]] spool::RecordWatch watch();

 private:
  static constexpr size_t kUnderWayMax = 4096;  // a stream; the oldest are forgotten

  struct UnderWay {
    traces::TraceId trace;
    MonotonicTime since{};
  };
  void read(Priority stream, uint64_t sequence, std::string_view event);
  void delivered(Priority stream, IntervalSet::Interval sequences);

  traces::Tracer& tracer_;
  const NodeId node_;
  const Clock& clock_;
  std::mutex mutex_;
  std::array<std::map<uint64_t, UnderWay>, kPriorities.size()> under_way_;  // by stream and sequence; guarded by mutex_
};

}  // namespace verge::node
