// StreamStore: gives the appender a thread of its own, since what it calls blocks. Loops submit; the thread appends one
// batch after the other and posts each answer.
//
// Bounds: `waiting_bytes_max` of records that wait, one batch of any size excepted; beyond it they are answered at once
// as refused (jetstream.busy). A batch is tried until `timeout` after it was submitted. While the stream is out of
// reach, longer than kBreakMax, everything is refused at once (jetstream.unreachable, jetstream.stream); the thread
// looks for it every kProbePeriod.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/metrics.h"
#include "jetstream/appender.h"
#include "jetstream/stream.h"
#include "runtime/loop.h"

namespace verge::jetstream {

struct StoreOptions {
  std::string stream;  // its name
  NodeId node;         // this one
  Duration timeout = std::chrono::seconds(8);
  size_t waiting_bytes_max = 64U << 20;
  size_t subjects_max = 65'536;
};

// Written by the store's thread, readable anywhere.
struct StoreCounters {
  Counter messages;
  Counter appended;  // records
  Counter known;     // repetitions recognised
  std::atomic<uint64_t> refused{0};
  Histogram append;  // from submission to the stream's acknowledgement
};

class StreamStore {
 public:
  static constexpr Duration kProbePeriod = std::chrono::milliseconds(250);
  // How often a stream that nobody uses is looked at.
  static constexpr Duration kIdlePeriod = std::chrono::seconds(1);
  // A break this short, as when a server is gone and the next one is connected to, is no reason to refuse anything.
  static constexpr Duration kBreakMax = 2 * kIdlePeriod;

  using Done = std::move_only_function<void(Batch)>;

  // `clock` outlives the store.
  StreamStore(std::unique_ptr<Stream> stream, const Clock& clock, const StoreOptions& options);
  ~StreamStore() { stop(); }
  // Answers what waits as refused and ends the thread. What is submitted afterwards is refused.
  void stop();

  // From any thread. `done` runs on `loop`.
  void submit(Batch batch, runtime::Loop& loop, Done done);

  [[nodiscard]] bool reachable() const { return reachable_; }
  [[nodiscard]] const StoreCounters& counters() const { return counters_; }

 private:
  struct Waiting {
    Batch batch;
    runtime::Loop* loop;
    Done done;
    size_t bytes;
    MonotonicTime since;
  };

  void run();
  // Looks whether the stream can be used, and says so when that changed.
  void look();
  void append(Waiting waiting);
  void refuse(Waiting waiting, const Error& error);
  void refuse_all(const Error& error);
  void count(const Batch& batch);

  const std::unique_ptr<Stream> stream_;
  const StoreOptions options_;
  const Clock& clock_;
  Appender appender_;  // this and the next two are used on the thread
  MonotonicTime last_usable_;
  MonotonicTime said_;  // when the log was told that the stream is out of reach
  StoreCounters counters_;
  std::atomic<bool> reachable_{false};

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  Error away_{"jetstream.unreachable", "the stream has not been reached yet", "send it again soon"};
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace verge::jetstream
