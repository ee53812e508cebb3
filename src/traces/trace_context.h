// Which trace something belongs to: W3C Trace Context (https://www.w3.org/TR/trace-context/) for requests, and for
// events an identity that every node finds by itself.
//
// An event climbs from node to node as what it was when it was stored. Its trace is named by the hash of that, and a
// span of it by the hash of the trace, the node and the stage: so nodes that never spoke of traces to each other write
// one, no format carries it, and a repetition writes the same.
//
// Whether a trace is written is decided by its name alone (the low 56 bits are random, trace-context level 2), so that
// nodes with the same share agree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/event.h"
#include "model/node_id.h"

namespace verge::traces {

struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;
  [[nodiscard]] bool is_none() const { return high == 0 && low == 0; }
  bool operator==(const TraceId&) const = default;
};

using SpanId = uint64_t;  // 0: none

struct TraceContext {
  TraceId trace;
  SpanId span = 0;
  bool sampled = false;
  bool random = false;  // the trace's name is (level 2): it goes on as it came

  bool operator==(const TraceContext&) const = default;
};

// What `traceparent` says; nothing unless it is well-formed. Of a version that is not known, as far as it is like
// version 00.
std::optional<TraceContext> parse_traceparent(std::string_view text);
// "00-…-…-01"; "03" where the name is random
std::string traceparent_of(const TraceContext& context);

// 32 and 16 hexadecimal digits.
std::string text_of(const TraceId& trace);
std::string text_of(SpanId span);

// Of an event as it climbs; by which nodes it came makes no difference.
TraceId trace_of(const EventView& event);

// What a node does with an event, one span each.
enum class Stage : uint8_t {
  kEntry = 1,   // from its receipt until it is durable here; the others follow from it
  kRules = 2,   // the evaluation of rules over it
  kUplink = 3,  // from when it was read for the parent until the parent had it; the parent's entry follows from it
  kSpool = 4,   // the wait for the disk
};
SpanId span_of(const TraceId& trace, const NodeId& node, Stage stage);

}  // namespace verge::traces
