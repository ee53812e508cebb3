#include "overview/roster.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace verge::overview {

State state_after(Duration silence, Duration every) {
  if (silence <= every + every / 2) return State::kLive;
  return silence <= every + every ? State::kStale : State::kOffline;
}

Roster::Roster(const NodeId& self, std::vector<std::string> expected) : self_(self), expected_(std::move(expected)) {
  for (const std::string& name : expected_) seen_names_.emplace(name, false);
}

Result<void> Roster::receive(Report report, MonotonicTime now, WallTime wall) {
  NodeReport& sender = report.nodes.front();
  if (sender.id == self_) {
    return fail("report.loop", "this report comes from the node itself", "let parent.url name another node");
  }
  const NodeId by = sender.id;
  sender.parent = self_;
  sender.state = State::kLive;
  sender.age = Duration(0);
  if (report.sent.microseconds != 0) {
    // It was on its way for half of what a round trip takes.
    const double way_ms = std::isfinite(sender.round_trip_ms) ? sender.round_trip_ms / 2 : 0;
    sender.skew_ms = std::round(static_cast<double>(report.sent.microseconds - wall.microseconds) / 1000 + way_ms);
  }
  take(std::move(sender), by, report.every, now);
  for (size_t i = 1; i < report.nodes.size(); ++i) {
    NodeReport& node = report.nodes[i];
    if (node.id == self_ || node.id == by) continue;
    const MonotonicTime heard = now - node.age;
    // Who tells of itself here knows better than who heard of it.
    const auto found = nodes_.find(node.id);
    if (found != nodes_.end() && found->second.by != by && found->second.heard > heard) continue;
    take(std::move(node), by, Duration(0), heard);
  }
  return {};
}

void Roster::take(NodeReport report, const NodeId& by, Duration every, MonotonicTime heard) {
  const NodeId id = report.id;
  if (!nodes_.contains(id) && nodes_.size() >= kNodesMax && !make_room()) {
    ++left_out_;
    return;
  }
  if (const auto expected = seen_names_.find(report.name); expected != seen_names_.end()) expected->second = true;
  const State said = report.state;
  nodes_[id] = {
      .report = std::move(report), .said = said, .changed = ++change_, .heard = heard, .every = every, .by = by};
}

bool Roster::make_room() {
  auto oldest = nodes_.end();
  for (auto place = nodes_.begin(); place != nodes_.end(); ++place) {
    if (place->second.report.state != State::kOffline) continue;
    if (oldest == nodes_.end() || place->second.heard < oldest->second.heard) oldest = place;
  }
  if (oldest == nodes_.end()) return false;
  nodes_.erase(oldest);
  ++removals_;
  ++change_;
  return true;
}

State Roster::state_of(const Seen& seen, MonotonicTime now) const {
  if (seen.every > Duration(0)) return state_after(now - seen.heard, seen.every);
  const auto teller = nodes_.find(seen.by);
  if (seen.said == State::kOffline) return seen.said;
  const bool is_known = teller != nodes_.end() && teller->second.report.state == State::kLive;
  return is_known && now - seen.heard <= kRelayedMax ? seen.said : State::kStale;
}

void Roster::look(MonotonicTime now) {
  const size_t before = nodes_.size();
  std::erase_if(nodes_, [&](const auto& place) { return now - place.second.heard > kForgotten; });
  // Children first: what is deeper is judged by them.
  for (const bool of_children : {true, false}) {
    for (auto& [id, seen] : nodes_) {
      if ((seen.every > Duration(0)) != of_children) continue;
      const State state = state_of(seen, now);
      seen.report.age = std::max(Duration(0), now - seen.heard);
      if (state == seen.report.state) continue;
      seen.report.state = state;
      seen.changed = ++change_;
    }
  }
  forget_replaced();
  if (nodes_.size() != before) {
    ++removals_;
    ++change_;
  }
}

void Roster::forget_replaced() {
  const auto is_offline = [](const auto& place) { return place.second.report.state == State::kOffline; };
  if (std::ranges::none_of(nodes_, is_offline)) return;
  std::set<std::pair<std::string_view, NodeId>> live;  // by name and parent
  for (const auto& [id, seen] : nodes_) {
    if (seen.report.state == State::kLive) live.emplace(seen.report.name, seen.report.parent);
  }
  std::erase_if(nodes_, [&](const auto& place) {
    const NodeReport& report = place.second.report;
    return report.state == State::kOffline && live.contains({report.name, report.parent});
  });
}

std::vector<std::string> Roster::never_seen() const {
  std::vector<std::string> names;
  for (const auto& [name, seen] : seen_names_) {
    if (!seen) names.push_back(name);
  }
  return names;
}

}  // namespace verge::overview
