#include "workers/watchdog.h"

#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace verge::workers {

namespace {
constexpr int kDisobeyed = 124;  // exit status
}

Watchdog::Watchdog(std::atomic<uint64_t>& entries, std::function<void()> last_word)
    : entries_(entries), last_word_(std::move(last_word)) {}

bool Watchdog::start() {
  pthread_getcpuclockid(pthread_self(), &clock_);
  const bool gives_way = turns_.attach();
  std::thread([this] { watch(); }).detach();
  return gives_way;
}

void Watchdog::enter(uint64_t allowed_ns, std::function<void()>& expired) {
  expired_.store(&expired, std::memory_order_relaxed);
  allowed_ns_.store(allowed_ns, std::memory_order_relaxed);
  entries_.fetch_add(1, std::memory_order_seq_cst);
  wake();
}

void Watchdog::wake() {
  if (asleep_.load(std::memory_order_seq_cst) != 0) {
    asleep_.store(0, std::memory_order_seq_cst);
    asleep_.notify_one();
  }
}

void Watchdog::leave() {
  entries_.fetch_add(1, std::memory_order_seq_cst);
  // Either the watching thread sees that the code was left, or this sees that it is about to tell it.
  if (telling_.load(std::memory_order_seq_cst)) {
    const std::lock_guard lock(mutex_);
  }
}

void Watchdog::watch() {
  pthread_setname_np(pthread_self(), "watchdog");
  foresee();
  int idle = 0;
  while (true) {
    idle = entries_.load(std::memory_order_acquire) % 2 == 0 && !is_computing_ ? idle + 1 : 0;
    if (idle > kIdleLooksMax) {
      asleep_.store(1, std::memory_order_seq_cst);
      if (entries_.load(std::memory_order_seq_cst) % 2 == 0) asleep_.wait(1);
      asleep_.store(0, std::memory_order_seq_cst);
      idle = 0;
      if (entries_.load(std::memory_order_acquire) % 2 == 0) foresee();
    }
    look();
    std::this_thread::sleep_for(is_looked_at_soon_ ? kLook : kRareLook);
  }
}

void Watchdog::foresee() {
  turns_.give(true);
  std::this_thread::sleep_for(kLook);
}

void Watchdog::look() {
  const uint64_t entry = entries_.load(std::memory_order_acquire);
  const uint64_t now = processor_time();
  give_turns(entry, now);
  if (entry % 2 == 0) return;
  if (entry != seen_) {
    seen_ = entry;
    seen_at_ns_ = now;
    return;
  }
  const uint64_t used = now - seen_at_ns_;
  const uint64_t allowed = allowed_ns_.load(std::memory_order_relaxed);
  if (used < allowed) return;
  if (told_ != entry) {
    const std::lock_guard lock(mutex_);
    telling_.store(true, std::memory_order_seq_cst);
    // Left since: the next one is looked at on its own.
    if (entries_.load(std::memory_order_seq_cst) == entry) {
      told_ = entry;
      (*expired_.load(std::memory_order_relaxed))();
    }
    telling_.store(false, std::memory_order_seq_cst);
  } else if (used > kObeysAfter * allowed) {
    if (last_word_) last_word_();
    _exit(kDisobeyed);
  }
}

void Watchdog::give_turns(uint64_t entry, uint64_t now) {
  const uint64_t ran = now - std::exchange(last_ns_, now);
  const auto looked_at = std::chrono::steady_clock::now();
  const auto since = looked_at - std::exchange(looked_at_, looked_at);
  const bool is_in_code = entry % 2 != 0;
  const bool is_new = is_in_code && entry != seen_;
  is_computing_ = ran >= kComputesNs;
  // Who waits for something else again and again needs none, until it computes on and on.
  const bool goes_on = is_computing_ && ((is_in_code && !is_new) || std::chrono::nanoseconds(ran) > since * 3 / 4);
  const bool needs_some = goes_on || !turns_.are_useless();
  turns_.give(needs_some && (is_computing_ || is_new));
  // A thread that waits for the processor itself is looked at less often: there may be hundreds of processes.
  is_looked_at_soon_ = needs_some && (ran >= kRunsNs || is_new);
}

uint64_t Watchdog::processor_time() const {
  timespec time{};
  clock_gettime(clock_, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace verge::workers
