// SendPlan: what of a spool's streams is to be sent next. Decides only; the uplink does the sending.
//
// Two lanes, each with a connection of its own. What came since the line stands is *live*; what was there before, or
// gathered while it was down, is *backlog*. While it is down only the bulk lane tries it. The express lane takes live
// critical and high records, the bulk lane all else: backlog in the order critical, high, normal, low, then live normal
// and low. So a fresh critical record never waits for a backlog, and the backlog, on its own connection, cannot be
// starved: while it waits, the express lane stops for it whenever it has taken more than its part (1 - backlog_share).
//
// When: critical records and backlog at once, the rest when a batch is full, when the oldest has waited batch_age_max,
// while the spool is short of space (it may hold less than a batch), or on drain.
//
// Sequences are claimed while they are prepared and under way, so that the lanes never send the same, and the bulk lane
// takes nothing of a stream that comes after what the express lane has under way: if that fails, it goes first. A
// record that the parent refused for good is deferred, and sent again alone when its time has come, those whose time
// came first before others, and never two in a row while anything else waits for the bulk lane: the rest goes on around
// them. Where no more can be deferred the stream is held at that record: what is deferred goes on, what follows waits.
//
// Bounds: a deferred record each, as many as the caller defers; kSeenMax marks of when records were first seen.
//
// Time and the state of the spool are passed in; no I/O, no threads.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/interval_set.h"
#include "model/priority.h"

namespace verge::spool {

inline constexpr size_t kLanes = 2;
enum class Lane : uint8_t { kExpress = 0, kBulk = 1 };

struct SendPlanOptions {
  size_t batch_bytes_max = 1U << 20;
  Duration batch_age_max = std::chrono::seconds(60);
  double backlog_share = 0.2;  // 0..0.9: of the bytes sent while live records and backlog both wait
};

class SendPlan {
 public:
  // A stretch to be sent: as many of its records, from the front, as one batch holds.
  struct Stretch {
    Priority stream = Priority::kNormal;
    IntervalSet::Interval sequences{};
    uint64_t records_max = UINT64_MAX;
  };

  // What a stream held at the start: everything below `end` is durable, and backlog where it is not delivered.
  struct Start {
    IntervalSet delivered;
    uint64_t end = 1;
  };

  SendPlan(const SendPlanOptions& options, std::array<Start, kPriorities.size()> streams);

  // What is durable now: all below `end`; `appended_bytes` of events since the start.
  void observe(Priority stream, uint64_t end, uint64_t appended_bytes, MonotonicTime now);

  // The next stretch for the lane, claimed. Nothing when none is due; `look_again` is lowered to when one may be.
  std::optional<Stretch> next(Lane lane, MonotonicTime now, bool draining, MonotonicTime& look_again);
  // Of a claimed stretch only the sequences before `end` were put into the batch; the rest is free again.
  void shorten(Stretch& stretch, uint64_t end, uint64_t event_bytes);
  // The parent has it, or it will never come.
  void delivered(Lane lane, const Stretch& stretch, uint64_t event_bytes);
  // It could not be sent, or not be confirmed.
  void released(const Stretch& stretch, uint64_t event_bytes);
  // The parent refused the whole batch of `records` for good: it is to be tried in halves.
  void halve(const Stretch& stretch, uint64_t records, uint64_t event_bytes);
  // `sequence` is the one record of the stretch, and was refused: not again before `until`. What else the stretch spans
  // holds nothing, and counts as delivered.
  void defer(const Stretch& stretch, uint64_t sequence, MonotonicTime until);
  // It was refused, and is to be offered again no sooner than `until`, nor anything behind it that is not deferred.
  void hold(const Stretch& stretch, uint64_t event_bytes, MonotonicTime until);
  // While there is little space for new records, none waits for others.
  void set_short_of_space(bool is_short) { is_short_of_space_ = is_short; }
  // The line broke: what is there now, and what is observed until it stands again, is backlog.
  void line_broke();
  // The parent was reached. A line is thought to stand until it is found broken.
  void line_stands() { line_stands_ = true; }

  // The lowest sequence of the stream that the parent does not have.
  [[nodiscard]] uint64_t floor(Priority stream) const;
  // When the oldest record of the stream that the parent does not have was first seen, or some time before, by as much
  // as the marks are apart; nothing when there is none.
  [[nodiscard]] std::optional<MonotonicTime> waiting_since(Priority stream) const;

  // So many stretches of a stream may have been delivered out of order; then all goes in order until they are fewer.
  static constexpr size_t kIntervalsMax = 24;
  // What the plan holds of the stream: stretches that are delivered, and records that wait to be tried again.
  [[nodiscard]] size_t intervals(Priority stream) const { return of(stream).delivered.intervals().size(); }
  [[nodiscard]] size_t deferred(Priority stream) const { return of(stream).deferred.size(); }
  [[nodiscard]] bool is_deferred(Priority stream, uint64_t sequence) const {
    return of(stream).deferred.contains(sequence);
  }

 private:
  static constexpr size_t kSeenMax = 64;

  // Records below `end`, and not below that of the mark before, were first seen then.
  struct Seen {
    uint64_t end;
    MonotonicTime at;
  };

  struct Stream {
    IntervalSet delivered;
    IntervalSet claimed;  // delivered, under way, or deferred
    IntervalSet express;  // of these, what the express lane has under way
    uint64_t end = 1;
    uint64_t backlog_end = 1;  // what is below is backlog
    uint64_t hurried_end = 1;  // what is below did not fit into the batch before, and does not wait for another
    uint64_t appended_bytes = 0;
    uint64_t taken_bytes = 0;  // of them, claimed or delivered
    std::vector<Seen> seen;    // of what the parent does not have
    Duration seen_apart{0};    // its marks are further apart
    uint64_t seen_end = 1;
    uint64_t suspect_end = 0;  // up to here batches have suspect_records at most
    uint64_t suspect_records = UINT64_MAX;
    std::map<uint64_t, MonotonicTime> deferred;                   // until when; max: under way, or not to be sent again
    std::set<std::pair<MonotonicTime, uint64_t>> deferred_until;  // the same, by time
    uint64_t held_from = UINT64_MAX;                              // what is from here on, and not deferred, waits
    MonotonicTime held_until{};

    [[nodiscard]] uint64_t sendable_end() const { return std::min(end, held_from); }
    // When the record was first seen; nothing when it was not yet.
    [[nodiscard]] std::optional<MonotonicTime> seen_at(uint64_t sequence) const;
    void note_seen(MonotonicTime now);
    void forget_seen();
    void defer(uint64_t sequence, MonotonicTime until);
    void forget_deferred(IntervalSet::Interval sequences);
  };

  Stream& of(Priority stream) { return streams_[static_cast<size_t>(stream)]; }
  [[nodiscard]] const Stream& of(Priority stream) const { return streams_[static_cast<size_t>(stream)]; }
  void end_holds(MonotonicTime now, MonotonicTime& look_again);
  [[nodiscard]] static std::optional<uint64_t> due_again(const Stream& its, MonotonicTime now,
                                                         MonotonicTime& look_again);
  [[nodiscard]] std::optional<Stretch> refused(MonotonicTime now, MonotonicTime& look_again) const;
  [[nodiscard]] std::optional<Stretch> backlog() const;
  [[nodiscard]] std::optional<Stretch> next_bulk(const std::optional<Stretch>& old, MonotonicTime now, bool draining,
                                                 MonotonicTime& look_again) const;
  [[nodiscard]] static bool would_overtake(const Stream& its, uint64_t sequence);
  [[nodiscard]] bool is_due(Priority stream, uint64_t next, MonotonicTime now, bool draining,
                            MonotonicTime& look_again) const;
  Stretch claim(Lane lane, Priority stream, IntervalSet::Interval gap);

  const SendPlanOptions options_;
  std::array<Stream, kPriorities.size()> streams_;
  bool line_stands_ = true;
  bool is_short_of_space_ = false;
  bool refused_last_ = false;  // what the bulk lane claimed last was a deferred record
  double express_credit_;      // bytes that the express lane may still send while backlog waits
};

}  // namespace verge::spool
