// HeldRecords: what the spool refused for want of space and nobody can be told of: of clients that cannot be told
// (MQTT 3.1.1), whose acknowledgements stay outstanding, and what rules made. Offered again, the oldest first, until it
// finds room.
//
// At most kBytesMax a loop; half of them are not for what devices said themselves at QoS 0. What nobody waits for and
// finds no room here, or is refused for another reason, is given up, counted and logged. All of it on the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "mqtt/intake.h"
#include "runtime/loop.h"
#include "spool/spool_writer.h"

namespace verge::node {

class HeldRecords {
 public:
  static constexpr size_t kBytesMax = 64U << 20;

  // `stored`: all that was held for the ticket is durable now. The counters: of what is held, and of records given up.
  HeldRecords(runtime::Loop& loop, spool::SpoolWriter& spool, Counter& awaiting_space, Counter& given_up,
              std::function<void(const mqtt::AckTicket&)> stored)
      : loop_(loop),
        spool_(spool),
        awaiting_space_(awaiting_space),
        given_up_(given_up),
        stored_(std::move(stored)),
        timer_(loop) {}

  // Before anything is held: who is shown what became of what was offered again, and when that was.
  void show_stored(std::function<void(const spool::Submission&, MonotonicTime)> shown) { shown_ = std::move(shown); }
  [[nodiscard]] bool has_room() const { return bytes_ <= kBytesMax; }
  // What was refused of the items in [begin, end), whose sender waits.
  void hold(spool::Submission& submission, size_t begin, size_t end, const mqtt::AckTicket& ticket);
  // What was refused of the items from `begin` on, as far as there is room.
  void hold_unawaited(spool::Submission submission, size_t begin);

 private:
  struct Held {
    std::optional<mqtt::AckTicket> ticket;
    std::vector<spool::Submission::Item> items;
    size_t bytes = 0;
  };

  void hold(Held held);
  void give_up(uint64_t records, const Error& error);
  void offer();
  void settle(spool::Submission submission, std::vector<Held> offered);

  runtime::Loop& loop_;
  spool::SpoolWriter& spool_;
  Counter& awaiting_space_;
  Counter& given_up_;
  std::function<void(const mqtt::AckTicket&)> stored_;
  std::function<void(const spool::Submission&, MonotonicTime)> shown_;  // may be empty
  std::deque<Held> held_;
  size_t bytes_ = 0;  // with those that are being offered
  bool is_offering_ = false;
  MonotonicTime next_log_{};
  runtime::Timer timer_;
};

}  // namespace verge::node
