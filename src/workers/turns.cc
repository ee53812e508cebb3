#include "workers/turns.h"

#include <csignal>
#include <cstdint>

#include <sched.h>
#include <unistd.h>

namespace verge::workers {
namespace {

constexpr int kSignal = SIGURG;  // which nobody else uses here
constexpr long kTurnNs = 500'000;
constexpr int64_t kRanNs = kTurnNs / 2;

// A timer goes off for a thread that waits for the processor, too: who has not computed since it gave way last goes on,
// or nobody would where many take turns.
void give_way(int) {
  static thread_local int64_t gave_way_at = 0;
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  const int64_t now = used.tv_sec * 1'000'000'000 + used.tv_nsec;
  if (now - gave_way_at < kRanNs) return;
  gave_way_at = now;
  sched_yield();
}

}  // namespace

void Turns::attach() {
  struct sigaction action{};
  action.sa_handler = give_way;
  action.sa_flags = SA_RESTART;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kSignal;
  event._sigev_un._tid = gettid();
  is_attached_ = sigaction(kSignal, &action, nullptr) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
}

void Turns::give(bool gives) {
  if (!is_attached_ || gives == gives_) return;
  gives_ = gives;
  const timespec each{.tv_sec = 0, .tv_nsec = gives ? kTurnNs : 0};
  const itimerspec times{.it_interval = each, .it_value = each};
  timer_settime(timer_, 0, &times, nullptr);
}

}  // namespace verge::workers
