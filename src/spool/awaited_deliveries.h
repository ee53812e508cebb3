// AwaitedDeliveries: who waits for the parent to have which records. The spool's writer enters a record when it is
// durable, before the uplink can see it; the uplink takes it out when the parent has said that it has it. What never
// gets there (dead letters, records that outlived their time) stays until who waits gives up.
//
// Bounds: those of who waits: each wait ends, by the parent's word or by forget().
//
// Threading: from any thread.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/interval_set.h"
#include "model/priority.h"
#include "runtime/loop.h"

namespace verge::spool {

// One wait, for some records of one submission. Shared by who waits and those records.
class DeliveryWait {
 public:
  // `done` is called on `loop` once the parent has all of the records; not after AwaitedDeliveries::forget(), except
  // where it was posted already.
  DeliveryWait(runtime::Loop& loop, runtime::Task done) : loop_(loop), done_(std::move(done)) {}

 private:
  friend class AwaitedDeliveries;

  runtime::Loop& loop_;
  runtime::Task done_;
  size_t missing_ = 0;  // guarded by the mutex of AwaitedDeliveries
  // Where it was entered, likewise.
  struct Place {
    bool is_repetition;
    Priority stream;
    uint64_t sequence;
  };
  std::vector<Place> places_;
};

class AwaitedDeliveries {
 public:
  using Wait = std::shared_ptr<DeliveryWait>;

  // A record that is durable now, or was before and came again: that is at an earlier sequence, and all up to this one
  // are waited for, of which the parent has those up to `delivered_through`.
  struct Record {
    Priority stream = Priority::kNormal;
    uint64_t sequence = 0;
    bool is_repetition = false;
    uint64_t delivered_through = 0;
  };
  // All that the wait is for, once. Of none, it is over.
  void enter(const Wait& wait, const std::vector<Record>& records);
  // Nobody waits any more.
  void forget(const Wait& wait);

  // The parent said that it has these.
  void confirmed(Priority stream, IntervalSet::Interval sequences);
  // It has, or will never get, all up to this one.
  void delivered_through(Priority stream, uint64_t sequence);

  // Whether there is any.
  [[nodiscard]] bool any() const { return count_ > 0; }

 private:
  using Waits = std::multimap<uint64_t, Wait>;  // by sequence

  // Under the mutex.
  void found(Waits& waits, Waits::iterator from, Waits::iterator to);
  static void one_less(DeliveryWait& wait);

  std::mutex mutex_;  // guards what follows
  std::array<Waits, kPriorities.size()> records_;
  std::array<Waits, kPriorities.size()> repetitions_;
  std::atomic<size_t> count_{0};
};

}  // namespace verge::spool
