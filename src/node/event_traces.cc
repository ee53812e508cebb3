#include "node/event_traces.h"

#include <optional>

#include "base/bytes.h"

namespace verge::node {

using traces::Span;
using traces::SpanKind;
using traces::Stage;

namespace {

std::optional<EventView> view_of(std::string_view event) {
  ByteReader reader(event);
  return read_event(reader);
}

std::vector<traces::Attribute> attributes_of(const EventView& event) {
  return {{"verge.topic", std::string(event.topic)},
          {"verge.device", std::string(event.device)},
          {"verge.kind", std::string(name_of(event.kind))}};
}

}  // namespace

std::optional<traces::TraceId> EventTraces::trace_of_record(std::string_view bytes) const {
  const std::optional<EventView> event = view_of(bytes);
  if (!event) return std::nullopt;
  const traces::TraceId trace = traces::trace_of(*event);
  return writes(trace) ? std::optional(trace) : std::nullopt;
}

void EventTraces::stored(std::string_view bytes, const Made& made, Priority priority, MonotonicTime submitted) {
  const std::optional<EventView> event = view_of(bytes);
  if (!event) return;
  const traces::TraceId trace = traces::trace_of(*event);
  const traces::Instant instant(clock_);
  Span entry{.trace = trace,
             .id = span_of(trace, node_, Stage::kEntry),
             .kind = SpanKind::kServer,
             .name = "event",
             .begin_ns = instant.unix_ns(made.received),
             .end_ns = instant.now_ns(),
             .attributes = attributes_of(*event)};
  if (made.caller) entry.links.push_back({made.caller->trace, made.caller->span});
  entry.attributes.push_back({"verge.priority", std::string(name_of(priority))});
  tracer_.add({.trace = trace,
               .id = span_of(trace, node_, Stage::kRules),
               .parent = entry.id,
               .name = made.rule.empty() ? "rules" : "rule " + made.rule,
               .begin_ns = entry.begin_ns,
               .end_ns = instant.unix_ns(made.made)});
  tracer_.add({.trace = trace,
               .id = span_of(trace, node_, Stage::kSpool),
               .parent = entry.id,
               .name = "spool",
               .begin_ns = instant.unix_ns(submitted),
               .end_ns = entry.end_ns});
  tracer_.add(std::move(entry));
}

void EventTraces::stored_rows(const spool::Submission& rows, MonotonicTime submitted) {
  for (size_t i = 0; i < rows.items.size() && i < rows.fates.size(); ++i) {
    if (rows.fates[i] != spool::Submission::Fate::kStored) continue;
    if (!trace_of_record(rows.items[i].event)) continue;
    stored(rows.items[i].event, {.received = submitted, .made = submitted, .rule = {}, .caller = {}},
           rows.items[i].priority, submitted);
  }
}

void EventTraces::taken(Taken what, const std::optional<traces::TraceContext>& caller) {
  const std::optional<traces::TraceContext> context = tracer_.begin(caller ? &*caller : nullptr);
  if (!context) return;
  const traces::Instant instant(clock_);
  Span span{.trace = context->trace,
            .id = context->span,
            .parent = caller ? caller->span : 0,
            .kind = SpanKind::kServer,
            .name = std::string(what.name),
            .begin_ns = instant.unix_ns(what.received),
            .end_ns = instant.now_ns(),
            .attributes = std::move(what.attributes)};
  for (const traces::TraceId& record : what.records)
    span.links.push_back({record, span_of(record, node_, Stage::kEntry)});
  tracer_.add(std::move(span));
}

void EventTraces::received(const spool::ChildBatch& stored, MonotonicTime since) {
  const traces::Instant instant(clock_);
  for (size_t i = 0; i < stored.records.size() && i < stored.fates.size(); ++i) {
    if (stored.fates[i] != spool::ChildBatch::Fate::kStored) continue;
    const std::optional<EventView> event = view_of(stored.records[i].event);
    if (!event) continue;
    const traces::TraceId trace = traces::trace_of(*event);
    if (!writes(trace)) continue;
    Span entry{.trace = trace,
               .id = span_of(trace, node_, Stage::kEntry),
               .parent = span_of(trace, stored.header.node, Stage::kUplink),
               .kind = SpanKind::kConsumer,
               .name = "event",
               .begin_ns = instant.unix_ns(since),
               .end_ns = instant.now_ns(),
               .attributes = attributes_of(*event)};
    entry.attributes.push_back({"verge.from", stored.header.name});
    tracer_.add(std::move(entry));
  }
}

void EventTraces::evaluated(const EventView& event, MonotonicTime since, size_t commands) {
  const traces::TraceId trace = traces::trace_of(event);
  if (!tracer_.writes(trace)) return;
  const traces::Instant instant(clock_);
  tracer_.add({.trace = trace,
               .id = span_of(trace, node_, Stage::kRules),
               .parent = span_of(trace, node_, Stage::kEntry),
               .name = "rules",
               .begin_ns = instant.unix_ns(since),
               .end_ns = instant.now_ns(),
               .attributes = {{"verge.commands", static_cast<int64_t>(commands)}}});
}

spool::RecordWatch EventTraces::watch() {
  return {.read = [this](Priority stream, uint64_t sequence, std::string_view event) { read(stream, sequence, event); },
          .delivered = [this](Priority stream, IntervalSet::Interval sequences) { delivered(stream, sequences); }};
}

void EventTraces::read(Priority stream, uint64_t sequence, std::string_view bytes) {
  const std::optional<traces::TraceId> trace = trace_of_record(bytes);
  if (!trace) return;
  const std::lock_guard lock(mutex_);
  std::map<uint64_t, UnderWay>& its = under_way_[static_cast<size_t>(stream)];
  // One that is read again, after a failure, began when it was read first.
  its.try_emplace(sequence, UnderWay{.trace = *trace, .since = clock_.monotonic()});
  if (its.size() <= kUnderWayMax) return;
  its.erase(its.begin());
  tracer_.count_lost();
}

void EventTraces::delivered(Priority stream, IntervalSet::Interval sequences) {
  const std::lock_guard lock(mutex_);
  std::map<uint64_t, UnderWay>& its = under_way_[static_cast<size_t>(stream)];
  if (its.empty()) return;
  const traces::Instant instant(clock_);
  const auto end = its.lower_bound(sequences.end);
  for (auto each = its.lower_bound(sequences.begin); each != end; each = its.erase(each)) {
    const UnderWay& sent = each->second;
    tracer_.add({.trace = sent.trace,
                 .id = span_of(sent.trace, node_, Stage::kUplink),
                 .parent = span_of(sent.trace, node_, Stage::kEntry),
                 .kind = SpanKind::kProducer,
                 .name = "uplink",
                 .begin_ns = instant.unix_ns(sent.since),
                 .end_ns = instant.now_ns()});
  }
}

}  // namespace verge::node
