// AsideThread: does what takes long and is not JavaScript (Work of the realm: key derivation, RSA) beside the loop of
// an isolate process, so that other calls go on meanwhile. One thread, started before the sandbox is closed, since the
// process may not make any later; it sleeps until there is work, and the queue is bounded.
//
// Processor time. A job may use what its call has left, together with the call's other jobs; it is told to stop when
// that is used, and the loop then ends the call as it ends JavaScript that used its time. What cannot be stopped in
// between (one operation of RSA, of at most 8192 bits) is charged when it is done.
//
// Threading: the loop adds, cancels and takes; the thread runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "workers/realm.h"
#include "workers/turns.h"

namespace verge::workers {

struct AsideJob {
  std::uint32_t worker = 0;
  OperationId operation = 0;
  EventId event = kNoEvent;
  std::shared_ptr<Work> work;
  std::uint64_t allowed_ns = 0;                         // of the call, less what it had used when this was added
  std::shared_ptr<std::atomic<std::uint64_t>> used_ns;  // by the call's jobs
  std::atomic<bool> is_cancelled{false};
  // Of the thread, until take_done() gives the job.
  std::uint64_t its_ns = 0;
  bool is_over = false;  // more than allowed was used
};

class AsideThread {
 public:
  static constexpr std::size_t kJobsMax = 64;

  AsideThread();
  AsideThread(const AsideThread&) = delete;
  AsideThread& operator=(const AsideThread&) = delete;

  // The thread runs until the process ends: the object is never destroyed.
  void start();
  // Whether it gives way; once it was started.
  [[nodiscard]] bool has_turns() const { return has_turns_; }
  // False: kJobsMax are waiting or were not taken yet, or there is no thread.
  bool add(std::shared_ptr<AsideJob> job);
  // Readable when take_done() would give something; -1 where the system gave none, and add() refuses.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool has_jobs() const { return count_ > 0; }
  std::vector<std::shared_ptr<AsideJob>> take_done();

 private:
  static void* run_thread(void* aside);
  [[noreturn]] void run();
  static void run_job(AsideJob& job);

  const int descriptor_;
  std::size_t count_ = 0;  // added and not taken; of the loop
  bool is_started_ = false;
  bool has_turns_ = false;
  std::atomic<bool> is_ready_{false};  // it has what the sandbox would not let it have
  Turns turns_;
  std::mutex mutex_;  // guards the next two
  std::deque<std::shared_ptr<AsideJob>> waiting_;
  std::vector<std::shared_ptr<AsideJob>> done_;
  std::condition_variable changed_;
};

}  // namespace verge::workers
