// DiskTier: the answers that memory has no room for, and all of them after a restart.
//
// The problem: a cache that is cold after each restart sends every request to the origin just when that hurts most; and
// a file an answer, as others do it, costs an inode, two seeks and a directory entry each, and a walk over them all at
// the start.
//
// The approach: every complete answer is written to a DiskLog by one thread, many at a time; what memory does not have
// is looked up in the log's index, and read into memory by a few others, once for all that wait for it. What was purged
// must not come back with a restart: a PurgeJournal keeps that, and without it the log begins anew.
//
// Bounded: the bytes on the disk, the index, the answers that wait to be written (more are not, and counted), the
// requests that wait for a read (more go to the origin). A disk that fails costs answers and nothing else.
//
// Threads: all functions from any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cache/disk_log.h"
#include "cache/purge_journal.h"
#include "cache/store.h"
#include "storage/file_system.h"

namespace verge::cache {

struct DiskOptions {
  DiskLogOptions log;
  uint64_t waiting_bytes_max = 64U << 20;  // of answers to be written
  size_t loads_max = 4096;                 // requests that wait for a read
  size_t readers = 2;                      // threads
};

struct DiskTierCounters {
  std::atomic<uint64_t> skipped{0};  // answers that were not written: too many waited, or it was too large
  std::atomic<uint64_t> read{0};     // answers taken into memory
};

class DiskTier {
 public:
  // Also restores the purges. What is referred to outlives the tier. Errors: those of the disk.
  static Result<std::unique_ptr<DiskTier>> open(storage::FileSystem& file_system, const std::string& directory,
                                                const DiskOptions& options, Store& store, Purges& purges);
  // Writes what waits.
  ~DiskTier();
  DiskTier(const DiskTier&) = delete;
  DiskTier& operator=(const DiskTier&) = delete;

  // To be written soon; its body is complete. `started`: Store::begin_fetch() of the fetch that brought it.
  void put(const Store::AnswerPointer& answer, uint64_t started);
  // The answers to the URL are gone, those that wait to be written included; those that a fetch started later brings
  // are not. Called after Store::invalidate().
  void forget(std::string_view url);
  // When what was purged before stays so over a restart. Blocks for the disk.
  Result<void> sync_purges() { return journal_->sync(); }
  // So that they are soon; waits for nothing.
  void sync_purges_soon();

  [[nodiscard]] bool may_have(std::string_view url) const { return log_->index().contains(log_->hash_of(url)); }
  // Puts the answer to the URL that belongs to a request with these fields (of parts, all that do) into the store, if
  // there is one, and calls `done` on a thread of the tier. Of several at a time for one URL the first one's fields
  // count. False when too many wait already; then `done` is not called.
  bool load(std::string_view url, const OwnedFields& request_fields, std::function<void()> done);

  // When all that was put or forgotten before is written.
  void flush();

  [[nodiscard]] const DiskTierCounters& counters() const { return counters_; }
  [[nodiscard]] const DiskLog& log() const { return *log_; }

 private:
  struct Waiting {
    Store::AnswerPointer answer;  // null: the URL is forgotten
    std::string url;              // likewise
    uint64_t started = 0;
    uint64_t bytes = 0;
  };
  struct Load {
    std::string url;
    OwnedFields fields;
    std::vector<std::function<void()>> done;
  };

  DiskTier(const DiskOptions& options, Store& store, const Purges& purges)
      : options_(options), store_(store), purges_(purges) {}

  void start();
  void write_on();
  void sync_journal();
  void write(const std::deque<Waiting>& group);
  void read_on();
  void bring(const Load& load);

  const DiskOptions options_;
  Store& store_;
  const Purges& purges_;
  std::unique_ptr<PurgeJournal> journal_;
  std::unique_ptr<DiskLog> log_;
  DiskTierCounters counters_;

  std::mutex mutex_;
  std::condition_variable wake_writer_;
  std::condition_variable wake_readers_;
  std::condition_variable wrote_;
  std::deque<Waiting> waiting_;
  uint64_t waiting_bytes_ = 0;
  bool is_writing_ = false;
  bool is_failing_ = false;    // the writer's own
  bool is_forgetful_ = false;  // likewise
  bool has_purges_to_sync_ = false;
  bool stopping_ = false;
  std::deque<std::shared_ptr<Load>> loads_;
  std::unordered_map<std::string, std::shared_ptr<Load>, StringHash, std::equal_to<>> loading_;
  size_t loads_waiting_ = 0;
  std::thread writer_;
  std::vector<std::thread> readers_;
};

}  // namespace verge::cache
