// BindingCalls: what members of `env` that are bindings ask for, of the workers of one loop: a namespace's keys and
// values, messages for a queue.
//
// A read of what is in memory is answered within the frame's turn, without an object of its own; all else is a
// Subrequest that waits for the store. Which namespace a binding means is looked up in the worker: what an isolate
// process says is the binding's name.
//
// Threading: on its loop; the store answers on its own threads.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "calls/write_counts.h"
#include "isolates/outbound.h"
#include "kv/key_value_store.h"
#include "queues/queue_store.h"
#include "runtime/loop.h"

namespace verge::node {

class BindingCalls {
 public:
  // Both outlive it.
  BindingCalls(runtime::Loop& loop, const Clock& clock) : loop_(loop), clock_(clock) {}

  // Both outlive it. `store` null: there is none. `counts`: what the store's writes are counted in; null: isolates keep
  // no values.
  void use(kv::KeyValueStore* store, const calls::WriteCounts* counts) {
    store_ = store;
    counts_ = counts;
  }
  void use(queues::QueueStore* queues) { queues_ = queues; }

  // As of an Outbound, of requests whose target is a binding.
  [[nodiscard]] bool answer_at_once(const isolates::Worker& worker, const calls::Request& request, calls::Head& answer);
  [[nodiscard]] std::unique_ptr<isolates::Subrequest> begin(const isolates::Worker& worker,
                                                            const calls::Request& request, bool ends,
                                                            isolates::SubrequestObserver& observer);

 private:
  runtime::Loop& loop_;
  const Clock& clock_;
  kv::KeyValueStore* store_ = nullptr;
  const calls::WriteCounts* counts_ = nullptr;
  queues::QueueStore* queues_ = nullptr;
  kv::ItemPointer answered_;  // what the last answer is a view of
  std::string expiration_;
  std::string kept_by_;
};

// An Outbound with bindings before it: what is no binding's goes on to the other, which outlives it.
class BindingOutbound final : public isolates::Outbound {
 public:
  BindingOutbound(runtime::Loop& loop, const Clock& clock, isolates::Outbound& other)
      : bindings_(loop, clock), other_(other) {}

  [[nodiscard]] BindingCalls& bindings() { return bindings_; }
  bool answer_at_once(const isolates::Worker& worker, const calls::Request& request, calls::Head& answer) override {
    return bindings_.answer_at_once(worker, request, answer);
  }
  std::unique_ptr<isolates::Subrequest> begin(const isolates::Worker& worker, const calls::Request& request, bool ends,
                                              isolates::SubrequestObserver& observer) override {
    const bool is_binding = request.target == calls::RequestTarget::kBinding;
    return is_binding ? bindings_.begin(worker, request, ends, observer)
                      : other_.begin(worker, request, ends, observer);
  }

 private:
  BindingCalls bindings_;
  isolates::Outbound& other_;
};

}  // namespace verge::node
