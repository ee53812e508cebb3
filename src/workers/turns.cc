#include "workers/turns.h"

#include <cerrno>
#include <csignal>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace verge::workers {
namespace {

constexpr int kSignal = SIGURG;  // which nobody else uses here
constexpr long kTurnNs = 500'000;
constexpr int64_t kRanNs = kTurnNs / 2;

thread_local int64_t ran_from = 0;  // on the thread's clock
thread_local long waits = 0;        // until then
thread_local uint64_t gave_way = 0;
thread_local std::atomic<uint32_t>* useless = nullptr;

int64_t computed_ns() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1'000'000'000 + used.tv_nsec;
}

// Who has waited for something since has given way by that, and is not to lose the processor just when it got it. A
// timer goes off for a thread that waits for the processor, too: who has not computed since it gave way last goes on,
// or nobody would where many take turns.
void give_way(int) {
  const int kept = errno;
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const int64_t now = computed_ns();
  if (usage.ru_nvcsw != waits) {
    waits = usage.ru_nvcsw;
    ran_from = now;
    if (useless != nullptr) useless->fetch_add(1, std::memory_order_relaxed);
  } else if (now - ran_from >= kRanNs) {
    ran_from = now;
    ++gave_way;
    if (useless != nullptr) useless->store(0, std::memory_order_relaxed);
    sched_yield();
  }
  errno = kept;
}

}  // namespace

bool Turns::attach() {
  struct sigaction action{};
  action.sa_handler = give_way;
  action.sa_flags = SA_RESTART;
  // A profiler's samples are of the code, not of its waiting here.
  sigaddset(&action.sa_mask, SIGPROF);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kSignal;
  event._sigev_un._tid = gettid();
  is_attached_ = sigaction(kSignal, &action, nullptr) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  if (is_attached_) useless = &useless_;
  return is_attached_;
}

Turns::~Turns() {
  if (!is_attached_) return;
  timer_delete(timer_);
  if (useless == &useless_) useless = nullptr;
}

void Turns::give(bool gives) {
  if (!is_attached_ || gives == gives_) return;
  gives_ = gives;
  const timespec each{.tv_sec = 0, .tv_nsec = gives ? kTurnNs : 0};
  const itimerspec times{.it_interval = each, .it_value = each};
  timer_settime(timer_, 0, &times, nullptr);
}

uint64_t Turns::given() { return gave_way; }

}  // namespace verge::workers
