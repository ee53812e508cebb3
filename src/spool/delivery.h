// Delivery: what the uplink does, without doing it. Told what is durable here, which batch was prepared and what came
// back for one, it says what to prepare, to send, to note as delivered and to bury, and when to look again.
//
// What goes when is the SendPlan's to decide. Each of the two lanes has a batch under way and the next one prepared
// meanwhile, so that the line is never idle while there is something to send.
//
// A failure of any kind means "not delivered": the same records go again after an exponential pause with full jitter;
// the parent recognises what it already has. What the parent refuses for good (400, 422, 413) is tried in halves until
// the record that it will not have stands alone. That record has a budget of attempts, by its priority; outages and
// "not now" (429, 503, any other answer) spend none. Then it is buried among the dead letters, with what the parent
// said; where those have no room for it, it stays where it is, and one such record is offered again every kBuryAgain to
// see whether there is room now. The others go on around it meanwhile. A parent that has
// no room for a stream holds up that stream alone.
//
// A log that cannot be read is read again later: nothing is passed over for it, and other streams go on. What is
// damaged is passed over: its range is reported, exactly.
//
// Invariants: a sequence is noted as delivered only after the parent's own word, the burial of its record, or when
// nothing can be read there; no two batches hold the same sequence at one time. Memory: two batches a lane, the plan,
// and an entry for each of kRefusedMax refused records. Where one more is refused, its stream waits there until others
// are done with: it has the same attempts as they.
//
// No I/O, no threads; time comes from the clock that is passed in. After each input, look_again() says when the next
// look() is due.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/payload.h"
#include "base/random.h"
#include "base/seldom_line.h"
#include "spool/batch_reader.h"
#include "spool/dead_letter.h"
#include "spool/line_rate.h"
#include "spool/parent_answer.h"
#include "spool/send_plan.h"
#include "spool/uplink_counters.h"

namespace verge::spool {

struct DeliveryOptions {
  size_t batch_bytes_max = 1U << 20;  // of events, before compression
  Duration batch_age_max = std::chrono::seconds(60);
  double backlog_share = 0.2;
  Duration timeout = std::chrono::seconds(10);  // for an answer, beside what the line needs for the batch
  Duration retry_max = std::chrono::seconds(5);
  std::array<uint32_t, kPriorities.size()> attempts = {100, 50, 20, 10};  // of a record that the parent refuses
  bool ttl_stops_in_outage = true;  // only the time counts in which the parent is known to be in reach
};

class Delivery {
 public:
  // What the machine asks for. None of these may call back into the machine before it returns.
  class Effects {
   public:
    virtual ~Effects() = default;
    // Read a batch (BatchReader) and give it to prepared(). One a lane at a time.
    virtual void prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& limits) = 0;
    // Send it to the parent and give what comes back, within `timeout`, to answered(). One a lane at a time.
    virtual void send(Lane lane, const Payload& body, Duration timeout) = 0;
    // The parent has these sequences, or they will never come.
    virtual void delivered(Priority stream, IntervalSet::Interval sequences) = 0;
    // The parent said that it has all the records of these; before they are delivered().
    virtual void confirmed(Priority, IntervalSet::Interval) {}
    // Keep the letter, count its sequence as delivered, and say buried().
    virtual void bury(DeadLetter letter) = 0;
    // Whether records grow old.
    virtual void age(bool running) = 0;
  };

  // `parent` as the log is to name it. The references outlive the machine.
  Delivery(Effects& effects, const Clock& clock, uint64_t seed, std::string parent,
           std::array<SendPlan::Start, kPriorities.size()> streams, const DeliveryOptions& options,
           UplinkCounters& counters);

  // What is durable now: all below `end`; `appended_bytes` of events since the start. Followed by another input.
  void observe(Priority stream, uint64_t end, uint64_t appended_bytes);

  // Whether there is little space for new records: then none waits for a batch to fill. Likewise.
  void observe_space(bool is_short) { plan_.set_short_of_space(is_short); }

  // Inputs. Time has passed, or something was stored.
  void look();
  // Send what there is without waiting for age.
  void drain();
  void prepared(Lane lane, std::unique_ptr<PreparedBatch> batch);
  // `took`: from the request to the answer.
  void answered(Lane lane, const ParentAnswer& answer, Duration took);
  void buried(Priority stream, uint64_t sequence, const Result<void>& kept);

  // When look() is due if nothing else comes in; MonotonicTime::max(): not at all.
  [[nodiscard]] MonotonicTime look_again() const { return look_again_; }
  // After drain(): nothing is left, or the parent cannot be reached.
  [[nodiscard]] bool is_drained() const { return is_drained_; }
  // As the plan's.
  [[nodiscard]] std::optional<MonotonicTime> waiting_since(Priority stream) const {
    return plan_.waiting_since(stream);
  }
  [[nodiscard]] const SendPlan& plan() const { return plan_; }

  // So many refused records are tried again at a time; more wait in the log.
  static constexpr size_t kRefusedMax = 16'384;
  static constexpr Duration kBuryAgain = std::chrono::seconds(30);
  static constexpr size_t kBuriedAgain = 16;  // so many more are tried where one found room

 private:
  using BatchPointer = std::unique_ptr<PreparedBatch>;
  struct LaneState {
    Lane lane;
    bool preparing = false;
    bool is_stale = false;  // what is being prepared follows a batch that was not delivered: it would overtake it
    BatchPointer next;
    BatchPointer under_way;
  };

  void step(LaneState& lane, MonotonicTime now);
  void send(LaneState& lane);
  void on_delivered(LaneState& lane, const PreparedBatch& batch);
  void on_refused(const PreparedBatch& batch, const Error& refusal);
  void on_held_off(LaneState& lane, const PreparedBatch& batch, const ParentAnswer& answer);
  [[nodiscard]] Duration pause_after(uint32_t failures);
  void give_up(const PreparedBatch& batch, const Error& refusal);
  void reached();
  void offer_unburied(size_t records);
  void on_failure(LaneState& lane, const ParentAnswer& answer);
  [[nodiscard]] bool may_defer(Priority stream, uint64_t sequence) const;
  void forget_attempts(const SendPlan::Stretch& stretch);
  void end_drain();
  LaneState& state_of(Lane lane) { return lanes_[static_cast<size_t>(lane)]; }

  Effects& effects_;
  const Clock& clock_;
  const std::string parent_;
  const DeliveryOptions options_;
  UplinkCounters& counters_;
  Random random_;

  SendPlan plan_;
  LineRate line_;
  std::array<LaneState, kLanes> lanes_;
  std::map<std::pair<Priority, uint64_t>, uint32_t> attempts_;  // of records that the parent refused
  // Refused for good, and still in the log because the dead letters are full.
  std::set<std::pair<Priority, uint64_t>> unburied_;
  MonotonicTime bury_again_{};
  SeldomLine refused_line_{std::chrono::seconds(10)};
  SeldomLine unburied_line_{std::chrono::seconds(60)};
  bool has_begun_ = false;
  bool draining_ = false;
  bool is_drained_ = false;
  uint32_t failures_in_a_row_ = 0;
  std::array<uint32_t, kPriorities.size()> held_off_in_a_row_{};
  std::optional<MonotonicTime> paused_until_;
  MonotonicTime look_again_ = MonotonicTime::max();
};

}  // namespace verge::spool
