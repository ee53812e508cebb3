#include "spool/send_plan.h"

#include <algorithm>

namespace verge::spool {
namespace {

constexpr std::array kExpressStreams = {Priority::kCritical, Priority::kHigh};
constexpr std::array kBulkStreams = {Priority::kNormal, Priority::kLow};
constexpr double kCreditBatches = 4;

}  // namespace

SendPlan::SendPlan(const SendPlanOptions& options, std::array<Start, kPriorities.size()> streams)
    : options_(options), express_credit_(kCreditBatches * static_cast<double>(options.batch_bytes_max)) {
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& its = streams_[i];
    its.delivered = std::move(streams[i].delivered);
    its.delivered.raise_floor(1);
    its.claimed = its.delivered;
    its.end = streams[i].end;
    its.backlog_end = its.end;
  }
}

void SendPlan::observe(Priority stream, uint64_t end, uint64_t appended_bytes, MonotonicTime now) {
  Stream& its = of(stream);
  its.end = std::max(its.end, end);
  if (!line_stands_) its.backlog_end = its.end;
  its.appended_bytes = appended_bytes;
  its.forget_seen();
  its.note_seen(now);
}

// Marks that are closer together than seen_apart become one. When there are too many that grows with what they span, so
// that half of them stay at most.
void SendPlan::Stream::note_seen(MonotonicTime now) {
  if (end <= seen_end) return;
  seen_end = end;
  const auto add = [this](const Seen& mark) {
    if (!seen.empty() && mark.at - seen.back().at <= seen_apart) {
      seen.back().end = mark.end;
    } else {
      seen.push_back(mark);
    }
  };
  if (seen.empty()) seen_apart = Duration(0);
  if (seen.size() == kSeenMax) {
    seen_apart = (now - seen.front().at) / (kSeenMax / 2);
    for (const Seen& mark : std::exchange(seen, {})) add(mark);
  }
  add({end, now});
}

std::optional<MonotonicTime> SendPlan::Stream::seen_at(uint64_t sequence) const {
  const auto mark = std::ranges::upper_bound(seen, sequence, {}, &Seen::end);
  return mark == seen.end() ? std::nullopt : std::optional(mark->at);
}

void SendPlan::Stream::forget_seen() {
  const uint64_t floor = delivered.first_gap(1, UINT64_MAX).begin;
  seen.erase(seen.begin(), std::ranges::upper_bound(seen, floor, {}, &Seen::end));
}

std::optional<MonotonicTime> SendPlan::waiting_since(Priority stream) const {
  const Stream& its = of(stream);
  return its.seen_at(its.delivered.first_gap(1, UINT64_MAX).begin);
}

void SendPlan::Stream::defer(uint64_t sequence, MonotonicTime until) {
  forget_deferred({sequence, sequence + 1});
  deferred.emplace(sequence, until);
  deferred_until.emplace(until, sequence);
}

void SendPlan::Stream::forget_deferred(IntervalSet::Interval sequences) {
  const auto first = deferred.lower_bound(sequences.begin);
  const auto behind = deferred.lower_bound(sequences.end);
  for (auto each = first; each != behind; ++each) deferred_until.erase({each->second, each->first});
  deferred.erase(first, behind);
}

void SendPlan::end_holds(MonotonicTime now, MonotonicTime& look_again) {
  for (Stream& its : streams_) {
    if (its.held_from == UINT64_MAX) continue;
    if (its.held_until <= now) {
      its.held_from = UINT64_MAX;
    } else {
      look_again = std::min(look_again, its.held_until);
    }
  }
}

// A deferred record whose time has come. Others have gone before it anyhow: it may overtake what is under way.
std::optional<uint64_t> SendPlan::due_again(const Stream& its, MonotonicTime now, MonotonicTime& look_again) {
  if (its.deferred_until.empty()) return std::nullopt;
  const auto& [until, sequence] = *its.deferred_until.begin();
  if (until <= now) return sequence;
  look_again = std::min(look_again, until);
  return std::nullopt;
}

bool SendPlan::would_overtake(const Stream& its, uint64_t sequence) {
  return !its.express.intervals().empty() && its.express.intervals().front().begin < sequence;
}

std::optional<SendPlan::Stretch> SendPlan::refused(MonotonicTime now, MonotonicTime& look_again) const {
  for (const Priority stream : kPriorities) {
    if (const std::optional<uint64_t> again = due_again(of(stream), now, look_again)) {
      return Stretch{.stream = stream, .sequences = {*again, *again + 1}};
    }
  }
  return std::nullopt;
}

std::optional<SendPlan::Stretch> SendPlan::backlog() const {
  for (const Priority stream : kPriorities) {
    const Stream& its = of(stream);
    const IntervalSet::Interval gap = its.claimed.first_gap(1, std::min(its.backlog_end, its.sendable_end()));
    if (gap.begin < gap.end && !would_overtake(its, gap.begin)) return Stretch{.stream = stream, .sequences = gap};
  }
  return std::nullopt;
}

bool SendPlan::is_due(Priority stream, uint64_t next, MonotonicTime now, bool draining,
                      MonotonicTime& look_again) const {
  const Stream& its = of(stream);
  const std::optional<MonotonicTime> since = its.seen_at(next);
  if (stream == Priority::kCritical || draining || is_short_of_space_ || next < its.hurried_end || !since) return true;
  if (its.appended_bytes - std::min(its.taken_bytes, its.appended_bytes) >= options_.batch_bytes_max) return true;
  const MonotonicTime due = *since + options_.batch_age_max;
  if (due <= now) return true;
  look_again = std::min(look_again, due);
  return false;
}

std::optional<SendPlan::Stretch> SendPlan::next(Lane lane, MonotonicTime now, bool draining,
                                                MonotonicTime& look_again) {
  end_holds(now, look_again);
  const std::optional<Stretch> old = backlog();
  if (lane == Lane::kBulk) {
    const std::optional<Stretch> again = refused(now, look_again);
    const std::optional<Stretch> fresh =
        again && !refused_last_ ? std::nullopt : next_bulk(old, now, draining, look_again);
    const std::optional<Stretch>& chosen = fresh ? fresh : again;
    refused_last_ = chosen && !fresh;
    if (!chosen) return std::nullopt;
    return claim(lane, chosen->stream, chosen->sequences);
  }
  if (!old) {
    express_credit_ = kCreditBatches * static_cast<double>(options_.batch_bytes_max);
  } else if (express_credit_ <= 0) {
    return std::nullopt;  // until the bulk lane has delivered
  }
  for (const Priority stream : kExpressStreams) {
    Stream& its = of(stream);
    if (its.delivered.intervals().size() > kIntervalsMax) continue;
    const IntervalSet::Interval gap = its.claimed.first_gap(its.backlog_end, its.sendable_end());
    if (gap.begin < gap.end && is_due(stream, gap.begin, now, draining, look_again)) return claim(lane, stream, gap);
  }
  return std::nullopt;
}

// What the bulk lane has to send beside what was refused.
std::optional<SendPlan::Stretch> SendPlan::next_bulk(const std::optional<Stretch>& old, MonotonicTime now,
                                                     bool draining, MonotonicTime& look_again) const {
  if (old) return old;
  for (const Priority stream : kBulkStreams) {
    const Stream& its = of(stream);
    const IntervalSet::Interval gap = its.claimed.first_gap(1, its.sendable_end());
    if (gap.begin < gap.end && is_due(stream, gap.begin, now, draining, look_again)) return Stretch{stream, gap};
  }
  // Streams with too many stretches go in order, and so by this lane.
  for (const Priority stream : kExpressStreams) {
    const Stream& its = of(stream);
    if (its.delivered.intervals().size() <= kIntervalsMax) continue;
    const IntervalSet::Interval gap = its.claimed.first_gap(1, its.sendable_end());
    if (gap.begin == gap.end || would_overtake(its, gap.begin)) continue;
    if (is_due(stream, gap.begin, now, draining, look_again)) return Stretch{stream, gap};
  }
  return std::nullopt;
}

SendPlan::Stretch SendPlan::claim(Lane lane, Priority stream, IntervalSet::Interval gap) {
  Stream& its = of(stream);
  Stretch stretch{.stream = stream, .sequences = gap};
  if (const auto again = its.deferred.find(gap.begin); again != its.deferred.end()) {
    its.defer(gap.begin, MonotonicTime::max());
    stretch.records_max = 1;
  } else if (gap.begin < its.suspect_end) {
    stretch.records_max = its.suspect_records;
    stretch.sequences.end = std::min(gap.end, its.suspect_end);
  }
  its.claimed.insert(stretch.sequences);
  if (lane == Lane::kExpress) its.express.insert(stretch.sequences);
  return stretch;
}

void SendPlan::shorten(Stretch& stretch, uint64_t end, uint64_t event_bytes) {
  Stream& its = of(stretch.stream);
  if (end < stretch.sequences.end) {
    its.claimed.erase(IntervalSet::Interval{end, stretch.sequences.end});
    its.express.erase(IntervalSet::Interval{end, stretch.sequences.end});
    its.hurried_end = std::max(its.hurried_end, stretch.sequences.end);
  }
  stretch.sequences.end = end;
  if (!its.deferred.contains(stretch.sequences.begin)) its.taken_bytes += event_bytes;  // else it is in there already
}

void SendPlan::delivered(Lane lane, const Stretch& stretch, uint64_t event_bytes) {
  Stream& its = of(stretch.stream);
  its.delivered.insert(stretch.sequences);
  its.claimed.insert(stretch.sequences);
  its.express.erase(stretch.sequences);
  its.forget_deferred(stretch.sequences);
  its.forget_seen();
  if (its.claimed.first_gap(1, its.end).begin >= its.end) its.taken_bytes = its.appended_bytes;
  if (stretch.sequences.end >= its.suspect_end) its.suspect_records = UINT64_MAX;
  const auto bytes = static_cast<double>(event_bytes);
  const double limit = kCreditBatches * static_cast<double>(options_.batch_bytes_max);
  if (lane == Lane::kBulk) {
    express_credit_ = std::min(limit, express_credit_ + bytes);
  } else {
    express_credit_ -= bytes * options_.backlog_share / (1.0 - options_.backlog_share);
  }
}

void SendPlan::released(const Stretch& stretch, uint64_t event_bytes) {
  Stream& its = of(stretch.stream);
  if (const auto again = its.deferred.find(stretch.sequences.begin); again != its.deferred.end()) {
    its.defer(again->first, MonotonicTime::min());  // at once
    return;
  }
  its.claimed.erase(stretch.sequences);
  its.express.erase(stretch.sequences);
  its.taken_bytes -= std::min(its.taken_bytes, event_bytes);
}

void SendPlan::hold(const Stretch& stretch, uint64_t event_bytes, MonotonicTime until) {
  released(stretch, event_bytes);
  Stream& its = of(stretch.stream);
  its.held_from = std::min(its.held_from, stretch.sequences.begin);
  its.held_until = until;
}

void SendPlan::halve(const Stretch& stretch, uint64_t records, uint64_t event_bytes) {
  released(stretch, event_bytes);
  Stream& its = of(stretch.stream);
  its.suspect_end = std::max(its.suspect_end, stretch.sequences.end);
  its.suspect_records = std::max<uint64_t>(1, records / 2);
  its.backlog_end = std::max(its.backlog_end, stretch.sequences.end);  // at once
}

void SendPlan::defer(const Stretch& stretch, uint64_t sequence, MonotonicTime until) {
  Stream& its = of(stretch.stream);
  its.defer(sequence, until);
  its.express.erase(stretch.sequences);
  its.delivered.insert({stretch.sequences.begin, sequence});
  its.delivered.insert({sequence + 1, stretch.sequences.end});
  its.suspect_records = UINT64_MAX;
}

void SendPlan::line_broke() {
  line_stands_ = false;
  for (Stream& its : streams_) its.backlog_end = its.end;
}

uint64_t SendPlan::floor(Priority stream) const { return of(stream).delivered.first_gap(1, UINT64_MAX).begin; }

}  // namespace verge::spool
