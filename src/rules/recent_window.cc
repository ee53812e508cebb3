#include "rules/recent_window.h"

#include <algorithm>

namespace verge::rules {
namespace {

constexpr size_t kReadingBytes = 64;  // of a reading beside its values
constexpr size_t kGroupBytes = 256;

}  // namespace

void RecentWindow::keep(Group& group, const WindowReading& reading) {
  Kept& kept = group.readings.emplace_back(Kept{reading.time_us, {}});
  for (const Value& value : reading.values) append_encoded(kept.values, value);
  bytes_ += kReadingBytes + kept.values.size();
}

void RecentWindow::drop_first(Group& group) {
  bytes_ -= kReadingBytes + group.readings.front().values.size();
  group.readings.pop_front();
}

bool RecentWindow::add(const WindowReading& reading, int64_t, bool has_room, std::vector<Emission>& out) {
  auto known = groups_.find(reading.key);
  if (known != groups_.end()) {
    uses_.splice(uses_.begin(), uses_, known->second.use);
  } else {
    if ((groups_.size() == kWindowGroupsMax || !has_room) && !end_silent(reading.time_us, out)) return false;
    has_room = true;
    if (groups_.empty()) looked_us_ = reading.time_us;
    known = groups_.emplace(reading.key, Group{}).first;
    uses_.push_front(known->first);
    known->second.use = uses_.begin();
    if (!keeps_readings()) known->second.accumulators = make_accumulators(aggregates_);
    bytes_ += kGroupBytes + bytes_of(known->first, known->second.accumulators);
  }
  known->second.last_us = reading.time_us;
  if (!keeps_readings()) {
    count(known, reading, out);
    return true;
  }
  if (!has_room && !end_silent(reading.time_us, out)) return false;
  Group& group = known->second;
  keep(group, reading);
  if (spec_.kind == WindowKind::kSliding) {
    while (group.readings.front().time_us <= reading.time_us - spec_.size_us ||
           group.readings.size() > kSlidingReadingsMax) {
      drop_first(group);
    }
    out.push_back(aggregated(*known));
    out.back().start_us = reading.time_us - spec_.size_us;
    return true;
  }
  while (group.readings.size() > spec_.count) drop_first(group);
  ++group.since_emission;
  if (group.readings.size() == spec_.count && group.since_emission >= spec_.every) {
    out.push_back(aggregated(*known));
    group.since_emission = 0;
  }
  return true;
}

void RecentWindow::count(Groups::iterator entry, const WindowReading& reading, std::vector<Emission>& out) {
  auto& [key, group] = *entry;
  if (group.since_emission++ == 0) group.start_us = reading.time_us;
  const size_t before = bytes_of(key, group.accumulators);
  add_reading(group.accumulators, reading.values, reading.time_us);
  bytes_ += bytes_of(key, group.accumulators) - before;
  if (group.since_emission < spec_.count) return;
  out.push_back({group.start_us, group.last_us, key, std::move(group.accumulators)});
  bytes_ -= kGroupBytes + bytes_of(key, out.back().accumulators);
  forget(entry);
}

bool RecentWindow::end_silent(int64_t now_us, std::vector<Emission>& out) {
  if (spec_.kind != WindowKind::kCount || uses_.empty()) return false;
  const auto oldest = groups_.find(uses_.back());
  if (now_us - oldest->second.last_us < kSilentMicroseconds) return false;
  bytes_ -= kGroupBytes + bytes_of(oldest->first, oldest->second.accumulators);
  emit_begun(*oldest, out);
  while (!oldest->second.readings.empty()) drop_first(oldest->second);
  forget(oldest);
  return true;
}

void RecentWindow::emit_begun(Groups::value_type& entry, std::vector<Emission>& out) const {
  auto& [key, group] = entry;
  if (group.since_emission == 0) return;
  if (keeps_readings()) {
    out.push_back(aggregated(entry));
  } else {
    out.push_back({group.start_us, group.last_us, key, std::move(group.accumulators)});
  }
}

void RecentWindow::forget(Groups::iterator group) {
  uses_.erase(group->second.use);
  groups_.erase(group);
}

Emission RecentWindow::aggregated(const Groups::value_type& entry) const {
  const std::deque<Kept>& readings = entry.second.readings;
  Emission emission{readings.front().time_us, readings.back().time_us, entry.first, make_accumulators(aggregates_)};
  for (const Kept& kept : readings) {
    ByteReader in(kept.values);
    for (Accumulator& accumulator : emission.accumulators) accumulator.add(read_encoded(in), kept.time_us);
  }
  return emission;
}

void RecentWindow::advance(int64_t now_us, std::vector<Emission>&) {
  if (spec_.kind != WindowKind::kSliding || now_us < looked_us_ + spec_.size_us) return;
  looked_us_ = now_us;
  forget_silent(now_us);
}

void RecentWindow::forget_silent(int64_t now_us) {
  for (auto group = groups_.begin(); group != groups_.end();) {
    std::deque<Kept>& readings = group->second.readings;
    while (!readings.empty() && readings.front().time_us <= now_us - spec_.size_us) drop_first(group->second);
    if (!readings.empty()) {
      ++group;
      continue;
    }
    bytes_ -= kGroupBytes + bytes_of(group->first, group->second.accumulators);
    forget(group++);
  }
}

void RecentWindow::drain(std::vector<Emission>& out) {
  if (spec_.kind == WindowKind::kCount) {
    for (auto& entry : groups_) emit_begun(entry, out);
  }
  groups_.clear();
  uses_.clear();
  bytes_ = 0;
}

void RecentWindow::append_to(std::string& out) const {
  append_varint(out, groups_.size());
  for (const auto& [key, group] : groups_) {
    append_sized(out, key);
    append_varint(out, group.since_emission);
    append_fixed(out, static_cast<uint64_t>(group.start_us));
    append_fixed(out, static_cast<uint64_t>(group.last_us));
    append_varint(out, group.readings.size());
    for (const Kept& kept : group.readings) {
      append_fixed(out, static_cast<uint64_t>(kept.time_us));
      append_sized(out, kept.values);
    }
    append_accumulators(out, group.accumulators);
  }
}

bool RecentWindow::read(ByteReader& in, const IsMine& mine) {
  for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
    const std::string_view key = in.sized();
    Group group;
    group.since_emission = in.varint();
    group.start_us = static_cast<int64_t>(in.fixed<uint64_t>());
    group.last_us = static_cast<int64_t>(in.fixed<uint64_t>());
    size_t bytes = kGroupBytes;
    for (uint64_t readings = in.varint(); readings > 0 && in.ok(); --readings) {
      const auto time_us = static_cast<int64_t>(in.fixed<uint64_t>());
      if (!is_sane_time(time_us)) return false;
      bytes += kReadingBytes + group.readings.emplace_back(Kept{time_us, std::string(in.sized())}).values.size();
    }
    if (!keeps_readings()) group.accumulators = make_accumulators(aggregates_);
    if (!read_accumulators(in, group.accumulators)) return false;
    if (keeps_readings() && group.readings.empty()) return false;
    if (!mine(key)) continue;
    bytes_ += bytes + bytes_of(key, group.accumulators);
    if (groups_.empty() && !group.readings.empty()) looked_us_ = group.readings.back().time_us;
    const auto [added, is_new] = groups_.emplace(key, std::move(group));
    if (!is_new) return false;
    uses_.push_front(added->first);
    added->second.use = uses_.begin();
  }
  return in.ok();
}

}  // namespace verge::rules
