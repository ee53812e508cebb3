#include "rules/paned_window.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace verge::rules {
namespace {

int64_t floor_to(int64_t value, int64_t step) {
  const int64_t past = value % step;
  return value - (past < 0 ? past + step : past);
}

}  // namespace

PanedWindow::PanedWindow(int64_t size_us, int64_t hop_us, std::vector<AggregateCall> aggregates)
    : size_us_(size_us), hop_us_(hop_us), pane_us_(std::gcd(size_us, hop_us)), aggregates_(std::move(aggregates)) {}

int64_t PanedWindow::pane_of(int64_t time_us) const { return floor_to(time_us, pane_us_); }

int64_t PanedWindow::first_end(int64_t pane_start_us) const {
  // Windows end at size + multiples of hop; the first that ends behind the pane's start.
  const int64_t first = floor_to(pane_start_us - size_us_, hop_us_) + hop_us_ + size_us_;
  return std::max(first, emitted_through_us_ + hop_us_);
}

PanedWindow::Group& PanedWindow::add_group(Pane& pane, std::string_view key) {
  Group& group = pane.groups.emplace_back(Group{std::string(key), make_accumulators(aggregates_)});
  pane.by_key.emplace(group.key, &group);
  ++groups_;
  grow(pane, bytes_of(group.key, group.accumulators));
  return group;
}

void PanedWindow::grow(Pane& pane, size_t by) {
  pane.bytes += by;
  bytes_ += by;
}

bool PanedWindow::add(const WindowReading& reading, int64_t now_us, bool has_room, std::vector<Emission>&) {
  int64_t start = pane_of(reading.time_us);
  const int64_t last_end = floor_to(start, hop_us_) + size_us_;  // of the windows that hold it
  if (last_end <= emitted_through_us_) {
    if (start + size_us_ <= now_us) {
      start = pane_of(now_us);
    } else {
      emitted_through_us_ = kNever;  // the clock was set back
    }
  }
  const auto known = panes_.find(start);
  Group* group = nullptr;
  if (known != panes_.end()) {
    const auto found = known->second.by_key.find(reading.key);
    if (found != known->second.by_key.end()) group = found->second;
  }
  if (group == nullptr && (groups_ == kWindowGroupsMax || !has_room)) return false;
  Pane& pane = known != panes_.end() ? known->second : panes_[start];
  if (group == nullptr) group = &add_group(pane, reading.key);
  const size_t before = bytes_of(group->key, group->accumulators);
  add_reading(group->accumulators, reading.values, reading.time_us);
  grow(pane, bytes_of(group->key, group->accumulators) - before);
  return true;
}

void PanedWindow::advance(int64_t now_us, std::vector<Emission>& out) {
  while (!panes_.empty() && out.size() < kEmissionsAStep && panes_.rbegin()->first - now_us > size_us_) {
    const auto ahead = std::prev(panes_.end());
    emit(first_end(ahead->first), out);
    forget(ahead);
  }
  while (!panes_.empty() && out.size() < kEmissionsAStep && first_end(panes_.begin()->first) <= now_us) emit_first(out);
}

void PanedWindow::drain(std::vector<Emission>& out) {
  while (!panes_.empty() && out.size() < kEmissionsAStep) emit_first(out);
}

void PanedWindow::emit_first(std::vector<Emission>& out) {
  const int64_t end = first_end(panes_.begin()->first);
  emit(end, out);
  emitted_through_us_ = std::max(emitted_through_us_, end);
  while (!panes_.empty() && panes_.begin()->first < end + hop_us_ - size_us_) forget(panes_.begin());
}

// Groups in the order of their first readings in the window.
void PanedWindow::emit(int64_t end_us, std::vector<Emission>& out) {
  std::unordered_map<std::string_view, size_t> places;
  const int64_t start_us = end_us - size_us_;
  for (auto pane = panes_.lower_bound(start_us); pane != panes_.end() && pane->first < end_us; ++pane) {
    for (Group& group : pane->second.groups) {
      if (hop_us_ == size_us_) {  // the pane goes at once
        out.push_back({start_us, end_us, group.key, std::move(group.accumulators)});
        continue;
      }
      const auto [place, is_new] = places.emplace(group.key, out.size());
      if (is_new) out.push_back({start_us, end_us, group.key, make_accumulators(aggregates_)});
      Accumulators& merged = out[place->second].accumulators;
      for (size_t i = 0; i < merged.size(); ++i) merged[i].merge(group.accumulators[i]);
    }
  }
}

void PanedWindow::forget(std::map<int64_t, Pane>::iterator pane) {
  groups_ -= pane->second.groups.size();
  bytes_ -= pane->second.bytes;
  panes_.erase(pane);
}

std::optional<int64_t> PanedWindow::next_end_us() const {
  if (panes_.empty()) return std::nullopt;
  return first_end(panes_.begin()->first);
}

void PanedWindow::append_to(std::string& out) const {
  append_fixed(out, static_cast<uint64_t>(emitted_through_us_));
  append_varint(out, panes_.size());
  for (const auto& [start, pane] : panes_) {
    append_fixed(out, static_cast<uint64_t>(start));
    append_varint(out, pane.groups.size());
    for (const Group& group : pane.groups) {
      append_sized(out, group.key);
      append_accumulators(out, group.accumulators);
    }
  }
}

bool PanedWindow::read(ByteReader& in, const IsMine& mine) {
  const auto emitted_through = static_cast<int64_t>(in.fixed<uint64_t>());
  if (!is_sane_time(emitted_through)) return false;
  emitted_through_us_ = std::max(emitted_through_us_, emitted_through);
  for (uint64_t panes = in.varint(); panes > 0 && in.ok(); --panes) {
    const auto start = static_cast<int64_t>(in.fixed<uint64_t>());
    if (!is_sane_time(start)) return false;
    for (uint64_t groups = in.varint(); groups > 0 && in.ok(); --groups) {
      const std::string_view key = in.sized();
      Accumulators accumulators = make_accumulators(aggregates_);
      if (!read_accumulators(in, accumulators)) return false;
      if (!mine(key)) continue;
      Pane& pane = panes_[start];
      if (pane.by_key.contains(key)) return false;
      Group& group = add_group(pane, key);
      const size_t before = bytes_of(group.key, group.accumulators);
      group.accumulators = std::move(accumulators);
      grow(pane, bytes_of(group.key, group.accumulators) - before);
    }
  }
  return in.ok();
}

}  // namespace verge::rules
