// CallQueue: the calls to an origin that wait to be carried, in order, and those that are about to fail. What both
// kinds of Upstream do alike.
//
// Bounded by waiting_max and wait_timeout of the limits. A failure is told in a later turn, one in each pass of the
// loop: its observer may do anything to the other calls and to the upstream.
//
// `Call` has observer_, waits_since_ and end(), after which it knows nothing of the upstream.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "net/upstream.h"
#include "net/upstream_addresses.h"
#include "runtime/loop.h"

namespace verge::net {

template <class Call>
class CallQueue {
 public:
  // All of them outlive the queue.
  CallQueue(runtime::Loop& loop, const UpstreamLimits& limits, const UpstreamAddresses& addresses,
            UpstreamCounters& counters)
      : loop_(loop),
        limits_(limits),
        addresses_(addresses),
        counters_(counters),
        waiting_timer_(loop),
        failing_timer_(loop) {}
  ~CallQueue() {
    for (Call* call : waiting_) call->end();
    for (const Failing& failing : failing_) failing.call->end();
  }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] size_t size() const { return waiting_.size(); }

  // False: there are too many, and it fails.
  bool push(Call& call) {
    if (waiting_.size() >= limits_.waiting_max) {
      fail(call, {.code = "http.queue-full",
                  .what = fmt::format("{} requests to {} wait already", waiting_.size(), addresses_.current().text()),
                  .fix = "ask again later"});
      return false;
    }
    begin_waiting(call);
    waiting_.push_back(&call);
    return true;
  }
  // Before all others, however many there are: it was carried before.
  void push_front(Call& call) {
    begin_waiting(call);
    waiting_.push_front(&call);
  }
  // Not of an empty queue.
  Call& pop() {
    Call& call = *waiting_.front();
    waiting_.pop_front();
    return call;
  }
  // The first for which `is_wanted`; null: none.
  template <class Wanted>
  Call* pop_if(Wanted is_wanted) {
    const auto place = std::ranges::find_if(waiting_, [&](const Call* call) { return is_wanted(*call); });
    if (place == waiting_.end()) return nullptr;
    Call* call = *place;
    waiting_.erase(place);
    return call;
  }
  std::deque<Call*> pop_all() { return std::exchange(waiting_, {}); }

  // The call waits for nothing any more.
  void fail(Call& call, Error error) {
    failing_.push_back({&call, std::move(error)});
    if (!failing_timer_.pending()) failing_timer_.after(kSoon, [this] { fail_next(); });
  }
  // The first that waits, or all of them.
  void fail_waiting(const Error& error, bool all) {
    while (!waiting_.empty()) {
      fail(pop(), error);
      if (!all) return;
    }
  }
  void forget(Call& call) {
    std::erase(waiting_, &call);
    std::erase_if(failing_, [&](const Failing& failing) { return failing.call == &call; });
  }

 private:
  // Not in this pass over the timers: who asks again at once when a request fails must not hold up the loop.
  static constexpr Duration kSoon{1};
  struct Failing {
    Call* call;
    Error error;
  };

  void begin_waiting(Call& call) {
    call.waits_since_ = loop_.now();
    if (!waiting_timer_.pending()) waiting_timer_.after(limits_.wait_timeout, [this] { fail_those_that_waited(); });
  }

  void fail_next() {
    if (failing_.empty()) return;
    const Failing failing = std::move(failing_.front());
    failing_.pop_front();
    if (!failing_.empty()) failing_timer_.after(kSoon, [this] { fail_next(); });
    counters_.failures.add();
    failing.call->end();
    failing.call->observer_.on_failed(failing.error);
  }

  void fail_those_that_waited() {
    const MonotonicTime too_long = loop_.now() - limits_.wait_timeout;
    MonotonicTime oldest = MonotonicTime::max();
    for (Call* call : pop_all()) {
      if (call->waits_since_ <= too_long) {
        fail(*call, {.code = "http.timeout",
                     .what = fmt::format("{} was not free to be asked in time", addresses_.current().text()),
                     .fix = "check the load of that server and the network between"});
      } else {
        waiting_.push_back(call);
        oldest = std::min(oldest, call->waits_since_);
      }
    }
    if (!waiting_.empty()) waiting_timer_.after(oldest - too_long, [this] { fail_those_that_waited(); });
  }

  runtime::Loop& loop_;
  const UpstreamLimits& limits_;
  const UpstreamAddresses& addresses_;
  UpstreamCounters& counters_;
  std::deque<Call*> waiting_;
  std::deque<Failing> failing_;
  runtime::Timer waiting_timer_;
  runtime::Timer failing_timer_;
};

}  // namespace verge::net
