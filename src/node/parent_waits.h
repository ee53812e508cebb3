// ParentWaits: those on one loop who are told that a message is safe when the parent has its records
// (node/durability_classes.h), or after the bound of its class, by what the class says of that.
//
// At most kMost wait so; further ones are answered as if the bound were over. All of it on the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "base/metrics.h"
#include "node/durability_classes.h"
#include "runtime/loop.h"
#include "spool/spool_writer.h"

namespace verge::node {

class ParentWaits {
 public:
  static constexpr size_t kMost = 65'536;
  // `refused`: the parent does not have them, and the class says that the sender is to hear so.
  using Answer = std::function<void(bool at_parent, bool refused)>;
  struct Opened {
    uint64_t number;                        // never 0
    spool::AwaitedDeliveries::Wait marker;  // for each of its records; null where too many wait
  };

  // The counters: of waits that ended with the parent, and before.
  ParentWaits(runtime::Loop& loop, spool::AwaitedDeliveries& awaited, Counter& at_parent, Counter& short_of_parent)
      : loop_(loop), awaited_(awaited), at_parent_(at_parent), short_of_parent_(short_of_parent), timer_(loop) {}

  Opened open(const DurabilityClass& demanded, Answer answer);
  // Its records are durable here, or not all of them will be: it is answered from then on, perhaps at once.
  void stored(uint64_t number, bool are_all_kept);
  // Nobody is to be told.
  void drop(uint64_t number);
  // Answers all, now and from now on, by what was reached.
  void stop();

 private:
  struct Waiting {
    spool::AwaitedDeliveries::Wait marker;
    DurabilityClass::AtBound at_bound = DurabilityClass::AtBound::kAcknowledge;
    Duration bound{0};
    bool is_entered = false;  // else there were too many
    bool is_confirmed = false;
    bool is_stored = false;
    std::multimap<MonotonicTime, uint64_t>::iterator due;
    Answer answer;
  };

  void confirm(uint64_t number);
  void end(uint64_t number, bool at_parent);
  void watch();

  runtime::Loop& loop_;
  spool::AwaitedDeliveries& awaited_;
  Counter& at_parent_;
  Counter& short_of_parent_;
  std::unordered_map<uint64_t, Waiting> waiting_;  // by number
  std::multimap<MonotonicTime, uint64_t> due_;     // of those that are stored
  uint64_t next_number_ = 1;
  bool is_stopped_ = false;
  runtime::Timer timer_;
};

}  // namespace verge::node
