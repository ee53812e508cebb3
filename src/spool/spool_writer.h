// SpoolWriter: gives the spool a thread of its own. Loops submit; the thread commits everything that came meanwhile as
// one group, and answers each loop with one posted task a commit. While a sync is under way the next group gathers:
// that is the whole of group commit. A second thread makes the next segments ready meanwhile.
//
// Bounds: `waiting_bytes_max` of submitted events, one submission of any size excepted; beyond it they are answered at
// once as refused (spool.busy).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "runtime/loop.h"
#include "spool/age_clock.h"
#include "spool/awaited_deliveries.h"
#include "spool/spool.h"

namespace verge::spool {

// What may be asked of a stream from any thread.
struct StreamProgress {
  std::atomic<uint64_t> delivered_through{0};
  std::atomic<uint64_t> undelivered{0};
  std::atomic<uint64_t> end{1};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> appended_bytes{0};
  std::atomic<uint64_t> dropped{0};
};

struct SpoolWriterCounters {
  Counter commits;
  Counter stored;
  Counter known;  // repetitions recognised
  Counter refused;
  Histogram commit;  // duration of a commit
};

enum class Urgency { kAwaited, kPatient };

class SpoolWriter {
 public:
  static constexpr Duration kPatience = std::chrono::milliseconds(50);
  static constexpr Duration kProbePeriod = std::chrono::seconds(1);

  using Done = std::move_only_function<void(Submission)>;

  // `grown` is called on the writer's thread after each commit that stored something, or found no space.
  SpoolWriter(std::unique_ptr<Spool> spool, size_t waiting_bytes_max, std::function<void()> grown);
  ~SpoolWriter() { stop(); }
  // Commits what is waiting, posts the answers, writes a checkpoint and ends the thread. What is submitted afterwards
  // is refused. Not from the writer's thread.
  void stop();

  // From any thread. `done` runs on `loop`.
  void submit(Submission submission, runtime::Loop& loop, Urgency urgency, Done done);
  // The parent has these sequences of the stream, or they will never come.
  void delivered(Priority stream, IntervalSet::Interval sequences);
  // As Spool::bury(); `done` runs on `loop`. From any thread.
  void bury(DeadLetter letter, runtime::Loop& loop, std::move_only_function<void(Result<void>)> done);

  // As Spool::change_keys(); `done` runs on the writer's thread. From any thread.
  void change_keys(storage::Keys keys, std::move_only_function<void(Result<void>)> done);
  // What the spool's files are read with. Any thread.
  [[nodiscard]] const storage::KeyRing& keys() const { return spool_->keys(); }

  [[nodiscard]] const StreamProgress& progress(Priority stream) const { return progress_[static_cast<size_t>(stream)]; }
  [[nodiscard]] const SpoolWriterCounters& counters() const { return counters_; }
  // What the parent had when the spool was opened.
  [[nodiscard]] const IntervalSet& delivered_at_start(Priority stream) const {
    return delivered_at_start_[static_cast<size_t>(stream)];
  }
  [[nodiscard]] uint64_t dead_letters() const { return dead_letters_; }
  // Who waits for the parent to have what was submitted. Any thread.
  [[nodiscard]] AwaitedDeliveries& awaited() { return awaited_; }
  // By which records grow old. Any thread.
  [[nodiscard]] AgeClock& age_clock() { return age_clock_; }
  // They do not change. Any thread.
  [[nodiscard]] const Lives& lives() const { return spool_->lives(); }
  // True since a submission was refused for want of space, until there is room for any again: looked for every
  // kProbePeriod.
  [[nodiscard]] bool is_full() const { return full_; }
  // So little is left, or nothing, that what is here should not wait on its way up. Any thread.
  [[nodiscard]] bool is_short_of_space() const { return short_of_space_ || full_; }

 private:
  struct Waiting {
    Submission submission;
    runtime::Loop* loop;
    Done done;
    size_t bytes;
  };
  struct Burial {
    DeadLetter letter;
    runtime::Loop* loop;
    std::move_only_function<void(Result<void>)> done;
  };

  struct KeyChange {
    storage::Keys keys;
    std::move_only_function<void(Result<void>)> done;
  };

  void run();
  void prepare_segments();
  void commit(std::vector<Waiting>& waiting);
  void enter_awaited(const Submission& submission);
  void bury(std::vector<Burial>& burials);
  void publish_progress();
  void set_full(const Error& refusal);
  void probe_space();

  const std::unique_ptr<Spool> spool_;
  const size_t waiting_bytes_max_;
  const std::function<void()> grown_;
  std::array<StreamProgress, kStreams> progress_;
  std::array<IntervalSet, kStreams> delivered_at_start_;
  std::atomic<uint64_t> dead_letters_{0};
  AgeClock age_clock_;
  AwaitedDeliveries awaited_;
  SpoolWriterCounters counters_;
  std::atomic<bool> full_{false};
  std::atomic<bool> short_of_space_{false};
  std::chrono::steady_clock::time_point next_probe_{};  // while it is full

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  std::array<std::vector<IntervalSet::Interval>, kStreams> delivered_;
  bool delivered_changed_ = false;
  std::vector<Burial> burials_;
  std::vector<KeyChange> key_changes_;
  bool urgent_ = false;  // one of waiting_ is awaited
  bool stopping_ = false;
  bool segment_wanted_ = false;

  std::condition_variable prepare_;  // with mutex_
  std::thread thread_;
  std::thread preparing_thread_;
};

}  // namespace verge::spool
