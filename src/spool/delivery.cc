#include "spool/delivery.h"

#include <algorithm>

#include "base/log.h"

namespace verge::spool {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);
// A log that could not be read is tried again then.
constexpr Duration kReadAgain = std::chrono::seconds(1);

}  // namespace

Delivery::Delivery(Effects& effects, const Clock& clock, uint64_t seed, std::string parent,
                   std::array<SendPlan::Start, kPriorities.size()> streams, const DeliveryOptions& options,
                   UplinkCounters& counters)
    : effects_(effects),
      clock_(clock),
      parent_(std::move(parent)),
      options_(options),
      counters_(counters),
      random_(seed),
      plan_({.batch_bytes_max = options.batch_bytes_max,
             .batch_age_max = options.batch_age_max,
             .backlog_share = options.backlog_share},
            std::move(streams)),
      lanes_{LaneState{.lane = Lane::kExpress}, LaneState{.lane = Lane::kBulk}} {}

void Delivery::observe(Priority stream, uint64_t end, uint64_t appended_bytes) {
  plan_.observe(stream, end, appended_bytes, clock_.monotonic());
}

void Delivery::drain() {
  draining_ = true;
  paused_until_.reset();
  look();
}

// Takes each lane as far as it goes.
void Delivery::look() {
  const MonotonicTime now = clock_.monotonic();
  look_again_ = MonotonicTime::max();
  // After a start nobody knows yet whether the parent is there.
  if (!std::exchange(has_begun_, true) && options_.ttl_stops_in_outage) effects_.age(false);
  if (paused_until_ && *paused_until_ > now) {
    look_again_ = *paused_until_;
    return;
  }
  paused_until_.reset();
  if (!unburied_.empty()) {
    if (bury_again_ <= now) offer_unburied(1);
    look_again_ = bury_again_;
  }
  for (LaneState& lane : lanes_) step(lane, now);
  const bool idle = std::ranges::none_of(lanes_, [](const LaneState& lane) {
    return lane.preparing || lane.next != nullptr || lane.under_way != nullptr;
  });
  if (draining_ && idle) is_drained_ = true;
}

// What is left has to wait for another start.
void Delivery::end_drain() {
  is_drained_ = true;
  look_again_ = MonotonicTime::max();
}

// The records of the stretch will not be offered again.
void Delivery::forget_attempts(const SendPlan::Stretch& stretch) {
  attempts_.erase(attempts_.lower_bound({stretch.stream, stretch.sequences.begin}),
                  attempts_.lower_bound({stretch.stream, stretch.sequences.end}));
}

void Delivery::step(LaneState& lane, MonotonicTime now) {
  if (lane.next && !lane.under_way) send(lane);
  if (lane.next || lane.preparing) return;
  const std::optional<SendPlan::Stretch> stretch = plan_.next(lane.lane, now, draining_, look_again_);
  if (!stretch) return;
  lane.preparing = true;
  effects_.prepare(lane.lane, *stretch,
                   {.floor = plan_.floor(stretch->stream),
                    .level = line_.compression_level(),
                    .bytes = line_.batch_bytes(options_.batch_bytes_max)});
}

void Delivery::prepared(Lane which, BatchPointer batch) {
  LaneState& lane = state_of(which);
  lane.preparing = false;
  if (std::exchange(lane.is_stale, false)) {
    plan_.released(batch->stretch, 0);
    return look();
  }
  if (const std::optional<Error>& error = batch->error) {
    counters_.failures.add();
    log_warning("uplink", "the {} stream cannot be read, will try again: {}", name_of(batch->stretch.stream),
                error->line());
    const MonotonicTime until = clock_.monotonic() + kReadAgain;
    if (plan_.is_deferred(batch->stretch.stream, batch->stretch.sequences.begin)) {
      plan_.defer(batch->stretch, batch->stretch.sequences.begin, until);
    } else {
      plan_.hold(batch->stretch, 0, until);
    }
    return look();
  }
  for (const storage::DamagedRange& range : batch->damaged) {
    counters_.damaged.add(range.end_sequence - range.first_sequence);
    log_error("uplink", "{} is damaged at byte {}: records {} to {} of the {} stream are lost", range.path,
              range.offset, range.first_sequence, range.end_sequence - 1, name_of(batch->stretch.stream));
  }
  plan_.shorten(batch->stretch, batch->end, batch->event_bytes);
  if (batch->records == 0) {
    // Sequences that were never used, or that are lost.
    counters_.expired.add(batch->expired);
    forget_attempts(batch->stretch);
    plan_.delivered(which, batch->stretch, 0);
    effects_.delivered(batch->stretch.stream, batch->stretch.sequences);
  } else {
    lane.next = std::move(batch);
  }
  look();
}

void Delivery::send(LaneState& lane) {
  lane.under_way = std::exchange(lane.next, nullptr);
  const Payload& body = lane.under_way->body;
  effects_.send(lane.lane, body, line_.timeout(options_.timeout, body.size()));
}

void Delivery::answered(Lane which, const ParentAnswer& answer, Duration took) {
  LaneState& lane = state_of(which);
  const PreparedBatch& sent = *lane.under_way;
  if (answer.timed_out) line_.timed_out(sent.body.size(), took);
  if (answer.meaning == ParentAnswer::Meaning::kNotNow) {
    on_failure(lane, answer);
    return draining_ ? end_drain() : look();
  }
  const BatchPointer batch = std::exchange(lane.under_way, nullptr);
  failures_in_a_row_ = 0;
  plan_.line_stands();
  if (answer.is_parents_word) reached();
  switch (answer.meaning) {
    case ParentAnswer::Meaning::kDurable:
      line_.measure(batch->event_bytes, batch->body.size(), took, batch->took);
      counters_.line_bytes_per_s = static_cast<uint64_t>(line_.bytes_per_s());
      counters_.compression_level = line_.compression_level();
      on_delivered(lane, *batch);
      break;
    case ParentAnswer::Meaning::kHeldOff:
      on_held_off(lane, *batch, answer);
      break;
    case ParentAnswer::Meaning::kRefused:
    case ParentAnswer::Meaning::kNotNow:  // handled above
      on_refused(*batch, answer.error);
      break;
  }
  look();
}

void Delivery::on_delivered(LaneState& lane, const PreparedBatch& batch) {
  counters_.batches.add();
  counters_.records.add(batch.records);
  counters_.expired.add(batch.expired);
  held_off_in_a_row_[static_cast<size_t>(batch.stretch.stream)] = 0;
  counters_.event_bytes.add(batch.event_bytes);
  counters_.last_delivery_us = clock_.wall().microseconds;
  reached();
  forget_attempts(batch.stretch);
  plan_.delivered(lane.lane, batch.stretch, batch.event_bytes);
  // Which of the stretch were passed over is not known here.
  if (batch.expired == 0 && batch.damaged.empty()) effects_.confirmed(batch.stretch.stream, batch.stretch.sequences);
  effects_.delivered(batch.stretch.stream, batch.stretch.sequences);
}

// The parent itself answered.
void Delivery::reached() {
  counters_.outage_is_said = false;
  if (!counters_.connected.exchange(true)) log_info("uplink", "delivering to {}", parent_);
  effects_.age(true);
}

// The line stands, but what was sent will not do.
void Delivery::on_refused(const PreparedBatch& batch, const Error& refusal) {
  counters_.refusals.add();
  if (batch.records > 1) {
    if (refused_line_.due(clock_.monotonic())) {
      log_warning("uplink", "{} records of the {} stream were refused, will be tried in halves: {}", batch.records,
                  name_of(batch.stretch.stream), refusal.what);
    }
    return plan_.halve(batch.stretch, batch.records, batch.event_bytes);
  }
  const std::pair key(batch.stretch.stream, batch.first_record);
  if (!may_defer(key.first, key.second)) {
    return plan_.hold(batch.stretch, batch.event_bytes, clock_.monotonic() + options_.retry_max);
  }
  uint32_t& attempts = attempts_[key];
  ++attempts;
  const bool is_last = attempts >= options_.attempts[static_cast<size_t>(key.first)];
  const Duration pause =
      std::min<Duration>(kFirstPause * (1LL << std::min<uint32_t>(attempts, 16)), options_.retry_max);
  // What the stretch spans beside the record holds nothing, or what has expired; it is not offered again.
  counters_.expired.add(batch.expired);
  effects_.delivered(key.first, {batch.stretch.sequences.begin, key.second});
  effects_.delivered(key.first, {key.second + 1, batch.stretch.sequences.end});
  plan_.defer(batch.stretch, key.second, is_last ? MonotonicTime::max() : clock_.monotonic() + pause);
  if (is_last) {
    attempts_.erase(key);
    give_up(batch, refusal);
  }
}

// The line stands, and other streams may go on.
void Delivery::on_held_off(LaneState& lane, const PreparedBatch& batch, const ParentAnswer& answer) {
  counters_.failures.add();
  const Priority stream = batch.stretch.stream;
  uint32_t& held_off = held_off_in_a_row_[static_cast<size_t>(stream)];
  if (held_off == 0) {
    log_warning("uplink", "the {} stream is not delivered for now, will try again: {}", name_of(stream),
                answer.error.line());
  }
  const Duration pause = std::max(pause_after(held_off++), answer.asked_pause.value_or(Duration(0)));
  if (lane.next && lane.next->stretch.stream == stream) {
    plan_.released(lane.next->stretch, lane.next->event_bytes);
    lane.next.reset();
  }
  lane.is_stale = lane.preparing;  // it may be the stream's
  const MonotonicTime until = clock_.monotonic() + pause;
  if (plan_.is_deferred(stream, batch.stretch.sequences.begin)) {
    plan_.defer(batch.stretch, batch.stretch.sequences.begin, until);
  } else {
    plan_.hold(batch.stretch, batch.event_bytes, until);
  }
}

// Exponential, with full jitter.
Duration Delivery::pause_after(uint32_t failures) {
  const Duration ceiling =
      std::min<Duration>(kFirstPause * (1LL << std::min<uint32_t>(failures, 16)), options_.retry_max);
  return Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(ceiling.count())));
}

bool Delivery::may_defer(Priority stream, uint64_t sequence) const {
  size_t deferred = 0;
  for (const Priority each : kPriorities) deferred += plan_.deferred(each);
  return deferred < kRefusedMax || plan_.is_deferred(stream, sequence);
}

void Delivery::give_up(const PreparedBatch& batch, const Error& refusal) {
  effects_.bury({.stream = batch.stretch.stream,
                 .sequence = batch.first_record,
                 .time = clock_.wall(),
                 .code = std::string(refusal.code),
                 .what = refusal.what,
                 .event = batch.first_event});
}

void Delivery::buried(Priority stream, uint64_t sequence, const Result<void>& kept) {
  const SendPlan::Stretch record{.stream = stream, .sequences = {sequence, sequence + 1}};
  if (kept) {
    counters_.buried.add();
    log_error("uplink",
              "record {} of the {} stream was refused for good and is kept as a dead letter: verge spool dlq ls",
              sequence, name_of(stream));
    plan_.delivered(Lane::kBulk, record, 0);
    offer_unburied(kBuriedAgain);
  } else if (kept.error().code == "spool.dead-letters-full") {
    plan_.defer(record, sequence, MonotonicTime::max());
    unburied_.emplace(stream, sequence);
    bury_again_ = clock_.monotonic() + kBuryAgain;
    if (const auto passed_over = unburied_line_.due(clock_.monotonic())) {
      log_error("uplink", "{} refused records stay in the spool and are not sent: {}", unburied_.size(),
                kept.error().line());
    }
  } else {
    log_warning("uplink", "a refused record cannot be put aside, will try again: {}", kept.error().line());
    plan_.defer(record, sequence, clock_.monotonic() + options_.retry_max);
  }
  look();
}

// They are refused once more, and then perhaps buried.
void Delivery::offer_unburied(size_t records) {
  const MonotonicTime now = clock_.monotonic();
  bury_again_ = now + kBuryAgain;
  for (; records > 0 && !unburied_.empty(); --records) {
    const auto [stream, sequence] = *unburied_.begin();
    unburied_.erase(unburied_.begin());
    attempts_[{stream, sequence}] = options_.attempts[static_cast<size_t>(stream)];
    plan_.defer({.stream = stream, .sequences = {sequence, sequence + 1}}, sequence, now);
  }
}

void Delivery::on_failure(LaneState& lane, const ParentAnswer& answer) {
  counters_.failures.add();
  counters_.connected = false;
  if (!counters_.outage_is_said.exchange(true)) {
    log_warning("uplink", "not delivered, will try again: {}", answer.error.line());
  }
  for (BatchPointer* batch : {&lane.under_way, &lane.next}) {
    if (!*batch) continue;
    plan_.released((*batch)->stretch, (*batch)->event_bytes);
    batch->reset();
  }
  lane.is_stale = lane.preparing;
  plan_.line_broke();
  if (options_.ttl_stops_in_outage) effects_.age(false);
  const Duration pause = pause_after(failures_in_a_row_++);
  paused_until_ = clock_.monotonic() + std::max(pause, answer.asked_pause.value_or(Duration(0)));
}

}  // namespace verge::spool
