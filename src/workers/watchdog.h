// Watchdog: ends code that has used its processor time, and has a thread that computes give way to others' (turns.h).
//
// Timers and signals would cost system calls for each call of a worker, of which there are tens of thousands a second.
// Instead, a thread of its own looks every millisecond, every other one where little was computed, at the processor
// clock of the thread it watches, and whether code still runs that ran when it last looked. Entering and leaving are a
// few writes to memory; while nothing runs, the thread sleeps.
//
// Code is ended between its limit and two looks later. The watching thread keeps normal priority, so that it gets its
// turn beside the code that it watches.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include <time.h>

#include "workers/turns.h"

namespace verge::workers {

class Watchdog {
 public:
  // `entries` is odd while code runs; this class writes it. For the calling thread's code. No thread runs yet.
  // `last_word`: called where the process ends, on the watching thread.
  explicit Watchdog(std::atomic<uint64_t>& entries, std::function<void()> last_word = {});
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // By the thread whose code it watches. Starts the watching one, which runs until the process ends: the object is
  // never destroyed. Whether that thread gives way.
  bool start();

  // Code begins to run and may use `allowed_ns` of processor time; `expired` is then called, once, on the watching
  // thread, and never after leave() has returned. Three times later the process ends.
  void enter(uint64_t allowed_ns, std::function<void()>& expired);
  void leave();
  // It will compute, and not in code.
  void wake();

  // Whether the watching thread rests until code runs again.
  [[nodiscard]] bool is_resting() const { return asleep_.load(std::memory_order_seq_cst) != 0; }

 private:
  static constexpr std::chrono::milliseconds kLook{1}, kRareLook{2};
  // Of processor time since the look before. What an entry was by then does not matter: many short ones keep others
  // waiting as one long one does.
  static constexpr uint64_t kRunsNs = 50'000, kComputesNs = 200'000;
  static constexpr int kIdleLooksMax = 50;
  static constexpr uint64_t kObeysAfter = 3;

  void watch();
  // The thread is about to compute, not in code.
  void foresee();
  void look();
  void give_turns(uint64_t entry, uint64_t now);
  [[nodiscard]] uint64_t processor_time() const;

  std::atomic<uint64_t>& entries_;
  const std::function<void()> last_word_;
  std::atomic<uint64_t> allowed_ns_{0};
  std::atomic<int> asleep_{0};
  std::atomic<std::function<void()>*> expired_{nullptr};  // of what runs, or ran
  std::atomic<bool> telling_{false};
  std::mutex mutex_;  // held while telling_: leave() waits for it
  clockid_t clock_{};
  // Of the watching thread.
  Turns turns_;
  uint64_t seen_ = 0;
  uint64_t seen_at_ns_ = 0;
  uint64_t last_ns_ = 0;  // at the last look
  std::chrono::steady_clock::time_point looked_at_{};
  bool is_looked_at_soon_ = false;
  bool is_computing_ = false;
  uint64_t told_ = 0;
};

}  // namespace verge::workers
