#include "node/live_streams.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace verge::node {
namespace {

// `json` has no line feed.
void append_event(std::string& out, std::string_view name, std::string_view json) {
  fmt::format_to(std::back_inserter(out), "event: {}\ndata: {}\n\n", name, json);
}

}  // namespace

LiveStreams::LiveStreams(runtime::Loop& loop, Overview& overview, EventTail& tail)
    : loop_(loop), overview_(overview), tail_(tail), timer_(loop) {}

LiveStreams::~LiveStreams() {
  for (auto& [number, stream] : streams_) {
    if (stream.is_tail) tail_.unwatch(stream.tail);
    stream.responder.when_closed({});
  }
}

void LiveStreams::watch_state(net::HttpResponder responder) {
  begin(Stream{.responder = std::move(responder), .parent = {}, .insights = {}, .goals = {}});
}

void LiveStreams::watch_tail(std::string filter, std::string rule, net::HttpResponder responder) {
  const uint64_t tail = tail_.watch(std::move(filter), std::move(rule));
  begin(Stream{
      .responder = std::move(responder), .is_tail = true, .tail = tail, .parent = {}, .insights = {}, .goals = {}});
}

void LiveStreams::watch_trace(std::string rule, uint64_t lines, Duration duration, net::HttpResponder responder) {
  const uint64_t tail = tail_.watch("#", std::move(rule), /*traces=*/true);
  begin(Stream{.responder = std::move(responder),
               .is_tail = true,
               .until = loop_.tick() + std::min(duration, kTraceMax),
               .lines_left = std::min(lines, kTraceLinesMax),
               .tail = tail,
               .parent = {},
               .insights = {},
               .goals = {}});
}

void LiveStreams::begin(Stream stream) {
  const uint64_t number = next_++;
  Stream& made = streams_.emplace(number, std::move(stream)).first->second;
  // The comment lets the client know at once that it is connected.
  made.responder.start_stream({.status = 200,
                               .content_type = made.until ? "application/x-ndjson" : "text/event-stream",
                               .fields = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}},
                               .body = made.until ? "" : ": verge\n\n"});
  made.responder.when_closed([this, number] {
    const auto place = streams_.find(number);
    if (place == streams_.end()) return;
    if (place->second.is_tail) tail_.unwatch(place->second.tail);
    streams_.erase(place);
  });
  if (!made.is_tail) send(made);
  if (!timer_.pending()) timer_.after(kLookEvery, [this] { look(); });
}

void LiveStreams::look() {
  loop_.tick();
  if (streams_.empty()) return;
  timer_.after(kLookEvery, [this] { look(); });
  overview_.look();
  // A write may find that the client has gone, which ends its stream.
  std::vector<uint64_t> numbers;
  for (const auto& [number, stream] : streams_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    const auto place = streams_.find(number);
    if (place == streams_.end() || place->second.responder.queued_bytes() > kWaitingBytesMax) continue;
    send(place->second);
    const auto sent = streams_.find(number);
    if (sent == streams_.end()) continue;
    const std::optional<MonotonicTime> until = sent->second.until;
    if (!until || (sent->second.lines_left > 0 && loop_.now() < *until)) continue;
    end(sent);
  }
}

void LiveStreams::end(std::map<uint64_t, Stream>::iterator place) {
  if (place->second.is_tail) tail_.unwatch(place->second.tail);
  net::HttpResponder responder = std::move(place->second.responder);
  streams_.erase(place);
  responder.when_closed({});
  responder.finish();
}

void LiveStreams::end_all() {
  while (!streams_.empty()) end(streams_.begin());
}

void LiveStreams::send(Stream& stream) {
  const std::string out = stream.until     ? trace_lines(stream)
                          : stream.is_tail ? tail_events(stream)
                                           : state_events(stream);
  if (!out.empty()) stream.responder.write(out);
}

std::string LiveStreams::state_events(Stream& stream) {
  std::string out;
  std::string parent = overview_.parent_json();
  const bool is_sample = stream.samples != overview_.samples() || stream.change == 0;
  // Its times move all the time: only who and how it is counts between samples.
  const std::string parent_state = parent.substr(0, parent.find(R"("delivering")"));
  if (stream.removals != overview_.removals()) stream.change = 0;
  if (is_sample || stream.change != overview_.change() || stream.parent != parent_state) {
    append_event(out, "tree", overview_.tree_json(stream.change));
    stream.change = overview_.change();
    stream.removals = overview_.removals();
    stream.parent = parent_state;
    std::string insights = overview_.insights_json();
    if (insights != stream.insights) append_event(out, "insights", insights);
    stream.insights = std::move(insights);
  }
  if (is_sample) {
    append_event(out, "now", overview_.now_json());
    std::string goals = overview_.goals_json();
    if (goals != stream.goals) append_event(out, "goals", goals);
    stream.goals = std::move(goals);
    stream.samples = overview_.samples();
  }
  return out;
}

std::string LiveStreams::trace_lines(Stream& stream) {
  const EventTail::Taken taken = tail_.take(stream.tail);
  std::string out;
  std::string_view rest = taken.lines;
  for (; !rest.empty() && stream.lines_left > 0; --stream.lines_left) {
    const size_t end = rest.find('\n') + 1;
    out.append(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  if (taken.missing > 0) fmt::format_to(std::back_inserter(out), "{{\"missing\":{}}}\n", taken.missing);
  return out;
}

std::string LiveStreams::tail_events(Stream& stream) {
  const EventTail::Taken taken = tail_.take(stream.tail);
  std::string out;
  std::string_view rest = taken.lines;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    append_event(out, "event", rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  if (taken.missing > 0) append_event(out, "missing", fmt::format(R"({{"count":{}}})", taken.missing));
  // Now and then something, so that a connection that is gone is noticed.
  if (out.empty() && ++stream.samples % 20 == 0) out = ": still here\n\n";
  return out;
}

}  // namespace verge::node
