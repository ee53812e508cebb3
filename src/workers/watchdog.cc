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

void Watchdog::start() {
  pthread_getcpuclockid(pthread_self(), &clock_);
  turns_.attach();
  std::thread([this] { watch(); }).detach();
}

void Watchdog::enter(uint64_t allowed_ns, std::function<void()>& expired) {
  expired_.store(&expired, std::memory_order_relaxed);
  allowed_ns_.store(allowed_ns, std::memory_order_relaxed);
  entries_.fetch_add(1, std::memory_order_seq_cst);
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
  int idle = 0;
  while (true) {
    idle = entries_.load(std::memory_order_acquire) % 2 == 0 ? idle + 1 : 0;
    if (idle > kIdleLooksMax) {
      asleep_.store(1, std::memory_order_seq_cst);
      if (entries_.load(std::memory_order_seq_cst) % 2 == 0) asleep_.wait(1);
      asleep_.store(0, std::memory_order_seq_cst);
      idle = 0;
    }
    look();
    std::this_thread::sleep_for(is_computing_ ? kLook : kRareLook);
  }
}

void Watchdog::look() {
  const uint64_t entry = entries_.load(std::memory_order_acquire);
  is_computing_ = false;
  if (entry % 2 == 0 || entry != seen_) turns_.give(false);
  if (entry % 2 == 0) return;
  const uint64_t now = processor_time();
  if (entry != seen_) {
    seen_ = entry;
    seen_at_ns_ = last_ns_ = now;
    return;
  }
  // Code that waits for the processor itself is looked at less often: there may be hundreds of processes.
  is_computing_ = now - std::exchange(last_ns_, now) >= kComputesNs;
  if (is_computing_) turns_.give(true);
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

uint64_t Watchdog::processor_time() const {
  timespec time{};
  clock_gettime(clock_, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace verge::workers
