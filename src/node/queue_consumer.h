// QueueConsumer: gives what is in a queue to a worker's `queue`, batch by batch, one at a time.
//
// A batch is given when it is full, or the first of its messages has waited for batch_timeout. Which of them come again
// is the answer; where there is none (the worker went over a limit, was ended) all do. A call that did not begin (there
// is no room, the worker does not start) counts for no message: it is tried again in a while. Several of a queue make
// batches that are under way beside each other.
//
// Threading: on its loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/seldom_line.h"
#include "isolates/call.h"
#include "isolates/pool.h"
#include "node/loop_workers.h"
#include "queues/queue_store.h"
#include "runtime/loop.h"

namespace verge::node {

class QueueConsumer final : private isolates::CallObserver {
 public:
  // All outlive it.
  QueueConsumer(runtime::Loop& loop, const Clock& clock, isolates::Pool& pool, queues::QueueStore& store,
                ConsumedQueue consumed);
  ~QueueConsumer() override;
  QueueConsumer(const QueueConsumer&) = delete;
  QueueConsumer& operator=(const QueueConsumer&) = delete;

  [[nodiscard]] const ConsumedQueue& consumed() const { return consumed_; }
  // Something may be there.
  void look();
  // Takes no further batch; the one under way is seen to its end.
  void retire() { retired_ = true; }
  [[nodiscard]] bool is_over() const { return retired_ && !call_; }

 private:
  void on_answer(const calls::Head& head, bool ends) override;
  void on_body(std::string_view piece) override { static_cast<void>(piece); }
  void on_end() override;
  void on_failed(const isolates::CallFailure& failure) override;
  void begin();
  void look_after(Duration after);
  void give_back();
  void settle(bool all_again);

  const Clock& clock_;
  isolates::Pool& pool_;
  queues::QueueStore& store_;
  const ConsumedQueue consumed_;
  runtime::Timer looking_;
  std::unique_ptr<isolates::Call> call_;  // null: none is under way
  std::vector<queues::Message> taken_;    // of that call, as the next
  std::vector<queues::Outcome> outcomes_;
  SeldomLine failed_{std::chrono::minutes(1)};
  bool answered_ = false;
  bool retired_ = false;
};

}  // namespace verge::node
