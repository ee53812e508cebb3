// Turns: a thread that computes for long gives way to others of its priority.
//
// Isolate processes have the idle priority, and the kernel lets none of that preempt another when it wakes: who
// computes keeps its processor until the next tick, 4 ms where there are 250 a second. A timer interrupts the thread
// instead, and it calls sched_yield(2), also in the middle of a regular expression or a hash, where V8 would not look.
#pragma once

#include <atomic>
#include <cstdint>

#include <time.h>

namespace verge::workers {

class Turns {
 public:
  Turns() = default;
  ~Turns();  // on the thread that it was attached to
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // Of the calling thread; once, before the sandbox. False where the system has no timer left: all stays as it was.
  bool attach();

  // From any one thread. While they are given, the thread's system calls may be interrupted (EINTR).
  void give(bool gives);

  // Whether it has been waiting for something else again and again while they were given: it gives way by itself.
  [[nodiscard]] bool are_useless() const { return useless_.load(std::memory_order_relaxed) >= kUseless; }

  // How often the calling thread has given way.
  static uint64_t given();

 private:
  static constexpr uint32_t kUseless = 4;

  timer_t timer_{};
  std::atomic<uint32_t> useless_{0};  // interruptions since the last that was not
  bool is_attached_ = false;
  bool gives_ = false;
};

}  // namespace verge::workers
