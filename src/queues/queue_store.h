// QueueStore: the queues of a node: messages that are durable when they were sent, and are delivered until they are
// acknowledged, however often the process ends meanwhile.
//
// The problem is that messages are settled in any order, and change while they wait (attempts, when they are due). So
// what the log keeps is records of what happened; what they make is kept in memory (queue_image.h), with the bodies,
// and written anew when the log has grown to several times its size. All that came while a sync was under way is
// committed together; a batch that fails to be settled and moves to another queue does both in one commit. (A key-value
// store was the alternative: queues drown in its tombstones. docs/decisions/0060.)
//
// At least once: a message that is being delivered when the process ends is delivered again, and so is one whose
// acknowledgement could not be written. Order is that of sending, but for what is delayed or comes again.
//
// Bounds: `bytes_max` a queue, of bodies and 128 bytes a message; above it a send is refused (queues.full), and so
// while the disk takes nothing (the disk's error). Dead letters count against their own queue, but are never refused.
//
// Threading: from any thread. Answers and `arrived` are called on its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/seldom_line.h"
#include "queues/queue_image.h"
#include "storage/file_system.h"
#include "storage/journal.h"
#include "storage/key_ring.h"

namespace verge::queues {

struct QueueOptions {
  uint64_t bytes_max = 64U << 20;
  uint32_t retries_max = 3;  // deliveries after the first
  Duration retry_delay{0};   // where the consumer names none
  std::string dead_letters;  // a queue; empty: what failed too often is dropped
  bool operator==(const QueueOptions&) const = default;
};

struct NewMessage {
  ContentKind kind = ContentKind::kJson;
  std::string body;
  Duration delay{0};
};

// What became of a delivery.
struct Outcome {
  uint64_t id = 0;
  bool again = false;               // it failed, or was asked for again
  std::optional<Duration> after{};  // again: after so long; nothing: after the queue's delay
};

struct QueueTotals {
  std::string name;
  uint64_t messages = 0, bytes = 0, bytes_max = 0;
  uint64_t sent = 0, acknowledged = 0, retried = 0, dead = 0, refused = 0;  // since the start
  int64_t oldest_ms = 0;                                                    // when it was sent; 0: there is none
};

class QueueStore {
 public:
  static constexpr size_t kMessageBytesMax = 128U << 10;
  static constexpr size_t kBatchBytesMax = 256U << 10;
  static constexpr uint64_t kLogBytesMin = 32U << 20;

  // Error: those of the disk. All outlive it. Damage is said in the log and costs what it covers.
  static Result<std::unique_ptr<QueueStore>> open(storage::FileSystem& file_system, const std::string& directory,
                                                  const storage::KeyRing& keys, const Clock& clock,
                                                  uint64_t log_bytes_min = kLogBytesMin);
  // What was asked before is answered.
  ~QueueStore();
  QueueStore(const QueueStore&) = delete;
  QueueStore& operator=(const QueueStore&) = delete;

  // Which queues there are; those that are not there any more keep what they have.
  void configure(std::map<std::string, QueueOptions, std::less<>> options);
  // Called with a queue's name after messages came into it, or were given back.
  void when_arrived(std::function<void(const std::string&)> arrived);

  using Done = std::move_only_function<void(Result<void>)>;
  // All or none. Durable when it is answered. Errors: queues.unknown, queues.message (too large), queues.full, and the
  // disk's.
  void send(std::string_view queue, std::vector<NewMessage> messages, Done done);

  struct Taken {
    std::vector<Message> messages;
    int64_t next_due_ms = INT64_MAX;  // of those that are left
  };
  // The messages that are due, oldest first: they are not given to anybody else until they are settled.
  [[nodiscard]] Taken take(std::string_view queue, size_t messages_max, size_t bytes_max);
  // How many are due, and when the first of them became so; no more than `enough` are counted.
  struct Waiting {
    size_t messages = 0;
    int64_t since_ms = 0;
    int64_t next_due_ms = INT64_MAX;  // of what is not due yet
  };
  [[nodiscard]] Waiting waiting(std::string_view queue, size_t enough) const;
  void settle(std::string_view queue, std::vector<Outcome> outcomes);
  // Their delivery did not begin: they are due as they were.
  void give_back(std::string_view queue, const std::vector<uint64_t>& ids);
  // The first messages of a queue, as they are.
  [[nodiscard]] std::vector<Message> peek(std::string_view queue, size_t messages_max) const;
  // Moves the messages of a queue to another, as new, as far as there is room: dead letters that are to be tried again.
  // How many, when durable. Errors: queues.unknown; queues.full, for the first; the disk's.
  using Moved = std::move_only_function<void(Result<size_t>)>;
  void move_all(std::string_view from, std::string_view to, Moved done);

  [[nodiscard]] std::vector<QueueTotals> totals() const;
  [[nodiscard]] uint64_t commits() const { return commits_.value(); }

 private:
  struct Entry {
    std::string records;
    Done done;
    std::string queue;                                         // of a send
    uint64_t bytes = 0;                                        // likewise, reserved
    uint64_t sent = 0;                                         // messages
    std::vector<std::string> arrived;                          // to be told of when it is committed
    std::vector<std::pair<std::string, uint64_t>> given_back;  // deliveries that end without a record if it fails
  };
  struct Counts {
    uint64_t sent = 0, acknowledged = 0, retried = 0, dead = 0, refused = 0;
  };

  QueueStore(std::unique_ptr<storage::Journal> journal, const Clock& clock)
      : journal_(std::move(journal)), clock_(clock) {}
  void run();
  void commit(std::vector<Entry>& entries);
  Result<void> write_snapshot();
  void submit(Entry entry);
  [[nodiscard]] int64_t now_ms() const { return clock_.wall().microseconds / 1000; }
  void settle_one(Entry& entry, std::string_view queue, const QueueOptions& options, const Message& message,
                  const Outcome& outcome, Counts& counts);

  const std::unique_ptr<storage::Journal> journal_;  // the thread's
  const Clock& clock_;
  bool is_behind_ = false;  // likewise: the journal says less than the image, which is written anew next
  SeldomLine failed_{std::chrono::seconds(10)};
  Counter commits_;

  mutable std::mutex mutex_;  // guards what follows
  QueueImage image_;
  std::map<std::string, QueueOptions, std::less<>> options_;
  std::map<std::string, Counts, std::less<>> counts_;
  std::map<std::string, uint64_t, std::less<>> reserved_;  // bytes of sends that are under way
  std::function<void(const std::string&)> arrived_;
  uint64_t next_id_ = 1;
  std::vector<Entry> entries_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace verge::queues
