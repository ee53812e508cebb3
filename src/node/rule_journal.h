// RuleJournal: what rules remember, made durable. Every reading that a rule remembers, and every step of the clock that
// moves its windows, is recorded before the message is acknowledged and before an upload that comes of it is stored;
// after a crash the records since the last snapshot are taken again, in the same order, and give the same rows with the
// same numbers, which the spool's ledger recognises (docs/decisions/0028).
//
// Batches that came while a sync was under way are committed together. Each loop has its own order; a batch that begins
// with its loop's whole state makes what that loop recorded before superfluous, and segments go when they hold nothing
// else.
//
// Bounds: `kWaitingBytesMax` of submitted batches; beyond it they are refused at once. On the disk a loop's share is
// its last snapshot and kSnapshotBytes of records after it, about.
//
// Threading: submit() from any loop; a thread of its own writes. replay() before the first submit().
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "rules/rule_input.h"
#include "runtime/loop.h"
#include "storage/file_system.h"
#include "storage/journal.h"
#include "storage/key_ring.h"

namespace verge::node {

// How the rules are spread: the number of loops, and a number drawn anew whenever that changes.
struct RuleLayout {
  uint64_t epoch = 0;
  uint32_t loops = 0;
  bool operator==(const RuleLayout&) const = default;
};

// One thing that happened to a rule on a loop.
struct RuleRecord {
  enum class Kind : uint8_t { kInput = 1, kAdvance = 2, kState = 3 };
  Kind kind = Kind::kInput;
  uint64_t rule = 0;       // Rule::identity
  int64_t now_us = 0;      // of the loop's clock
  std::string_view bytes;  // kInput: append_input(); kState: Memory::append_to()
};

void append_record(std::string& batch, const RuleRecord& record);

class RuleJournal {
 public:
  static constexpr size_t kWaitingBytesMax = 64U << 20;
  static constexpr uint64_t kSnapshotBytes = 8U << 20;
  static constexpr Duration kPatience = std::chrono::milliseconds(50);

  struct Batch {
    uint32_t loop = 0;
    bool is_snapshot = false;  // begins with the loop's whole state
    bool is_awaited = false;
    std::string records;
  };
  using Done = std::move_only_function<void(Result<void>)>;
  // Where a batch was recorded.
  struct Place {
    RuleLayout layout;
    uint32_t loop = 0;
    bool is_snapshot = false;
  };

  // Damage is said in the log and costs what it covers.
  static Result<std::unique_ptr<RuleJournal>> open(storage::FileSystem& file_system, const std::string& directory,
                                                   const storage::KeyRing& keys);
  ~RuleJournal() { stop(); }

  // It holds all that was ever recorded. Where it does not, it may begin with records of a loop whose state of before
  // is gone, because a later one made both superfluous.
  [[nodiscard]] bool is_whole() const { return journal_->is_whole(); }
  // Calls `begin` for each batch and `take` for each record in it, in the order in which they were made durable.
  Result<void> replay(const std::function<void(const Place&)>& begin,
                      const std::function<void(const RuleRecord&)>& take);
  // Starts the thread. What is submitted from now on is of that layout.
  void start(const RuleLayout& layout);
  // Commits what waits, answers, and ends the thread.
  void stop();

  // From any thread; `done` runs on `loop`, in the order of the submissions of that loop.
  void submit(Batch batch, runtime::Loop& loop, Done done);

 private:
  struct Waiting {
    Batch batch;
    runtime::Loop* loop;
    Done done;
  };

  explicit RuleJournal(std::unique_ptr<storage::Journal> journal) : journal_(std::move(journal)) {}
  void run();
  void commit(std::vector<Waiting>& waiting);
  Result<void> append(const Batch& batch);
  void trim();

  const std::unique_ptr<storage::Journal> journal_;
  RuleLayout layout_;
  std::vector<uint64_t> snapshots_;  // by loop: the sequence of its last; 0: none yet

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  bool urgent_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace verge::node
