// StreamStore: gives the appender a thread of its own, since what it calls blocks. Loops submit; the thread appends one
// batch after the other and posts each answer. Between them it moves what is in the overflow.
//
// Bounds: `waiting_bytes_max` of records that wait, one batch of any size excepted; beyond it they are answered at once
// as refused (jetstream.busy). A batch is tried until `timeout` after it was submitted. While stream and overflow are
// out of reach, longer than kBreakMax, everything is refused at once (jetstream.unreachable, jetstream.stream); the
// thread looks for it every kProbePeriod.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/metrics.h"
#include "jetstream/appender.h"
#include "jetstream/failover_appender.h"
#include "jetstream/stream.h"
#include "runtime/loop.h"

namespace verge::jetstream {

struct StoreOptions {
  std::string stream;    // its name
  std::string overflow;  // and its overflow's
  NodeId node;           // this one
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
  Histogram append;  // from submission to the stream's acknowledgement, or the overflow's
};

class StreamStore {
 public:
  static constexpr Duration kProbePeriod = std::chrono::milliseconds(250);
  // How often a stream that nobody uses is looked at.
  static constexpr Duration kIdlePeriod = std::chrono::seconds(1);
  // A break this short, as when a server is gone and the next one is connected to, is no reason to refuse anything.
  static constexpr Duration kBreakMax = 2 * kIdlePeriod;

  // How many messages are moved for each batch that is appended: more than one, so that there is an end to it.
  static constexpr size_t kMovesABatch = 4;
  // Moved batches whose rules have not run yet; at this many no other is moved.
  static constexpr size_t kMovedMax = 4;
  static constexpr Duration kMovedPeriod = std::chrono::milliseconds(2);

  using Done = std::move_only_function<void(Batch)>;
  using Finished = std::function<void()>;
  // What was moved from the overflow; `finished` is called, on any thread, when the rules have run over it.
  using Moved = std::function<void(Batch, Finished finished)>;

  // `overflow` may be null: there is none. `clock` outlives the store.
  StreamStore(std::unique_ptr<Stream> stream, std::unique_ptr<OverflowStream> overflow, const Clock& clock,
              const StoreOptions& options);
  ~StreamStore() { stop(); }
  // Answers what waits as refused and ends the thread. What is submitted afterwards is refused.
  void stop();

  // From any thread. `done` runs on `loop`.
  void submit(Batch batch, runtime::Loop& loop, Done done);

  // Nothing is moved before. Once, from any thread; `moved` runs on the store's own.
  void begin_moving(Overflow::Decode decode, Moved moved);

  [[nodiscard]] bool reachable() const { return reachable_; }
  [[nodiscard]] bool diverted() const { return diverted_; }
  [[nodiscard]] const StoreCounters& counters() const { return counters_; }
  [[nodiscard]] const OverflowCounters* overflow_counters() const { return appender_.counters(); }

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
  // How long until there may be something to move again.
  Duration move();
  std::optional<Waiting> wait_for_next(Duration wait);
  void refuse(Waiting waiting, const Error& error);
  void refuse_all(const Error& error);
  void count(const Batch& batch);

  const std::unique_ptr<Stream> stream_;
  const std::unique_ptr<OverflowStream> overflow_;
  const StoreOptions options_;
  const Clock& clock_;
  FailoverAppender appender_;  // this and the next two are used on the thread
  MonotonicTime last_usable_;
  MonotonicTime said_;  // when the log was told that the stream is out of reach
  StoreCounters counters_;
  std::atomic<bool> reachable_{false};
  std::atomic<bool> diverted_{false};
  std::atomic<bool> stopping_{false};
  // Shared with what may be called when the store is gone.
  const std::shared_ptr<std::atomic<size_t>> moved_unfinished_ = std::make_shared<std::atomic<size_t>>(0);

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  Error away_{"jetstream.unreachable", "the stream has not been reached yet", "send it again soon"};
  Overflow::Decode decode_;
  Moved moved_;

  std::thread thread_;
};

}  // namespace verge::jetstream
