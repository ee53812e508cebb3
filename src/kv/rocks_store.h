// RocksStore: keys and values on the disk of this node, in RocksDB (docs/decisions/0059-key-value-store.md).
//
// The problem: a write is answered when it is durable, and a sync costs as much for one as for a thousand; a read is to
// cost an event loop about as much as a look into a table; and a namespace has a bound that holds.
//
// The approach: one thread writes. It takes all that came while it wrote the group before, of all loops, and commits it
// as one batch with one sync. What it needs to know of a key that is written over it reads first, so that the batch has
// the namespace's new totals and the new entry of the index of expiries with it, whatever happens then: totals are
// exact, and what has expired is found without a scan. (A compaction filter was the alternative: it throws away what
// has expired when it comes by, and nobody's total knows of it.) One further thread reads what is not in memory.
//
// A disk without space: RocksDB never comes to its last bytes, since a write is refused while less than kReserveBytes
// are left (a removal, while less than half of that are: it is how room is made). Where a write fails all the same,
// RocksDB takes no more; it is then opened again, before the next write.
//
// Threading: as KeyValueStore says. Answers are given on its threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "base/hash.h"
#include "kv/hot_items.h"
#include "kv/key_value_store.h"
#include "kv/records.h"
#include "kv/rocks_database.h"

namespace verge::kv {

class RocksStore final : public KeyValueStore {
 public:
  static constexpr uint64_t kReserveBytes = 32U << 20;
  static constexpr size_t kWaitingBytesMax = 64U << 20;  // of writes; above it: kv.busy
  static constexpr size_t kReadsMax = 8192;              // likewise, of reads that wait

  struct Options {
    uint64_t bytes_max = 1U << 30;  // of a namespace
    size_t memory_bytes = 32U << 20;
  };

  // Opens or makes it. `clock` outlives it. Errors: kv.library, kv.storage, storage.full.
  static Result<std::unique_ptr<RocksStore>> open(const std::string& directory, const Clock& clock,
                                                  const Options& options);
  // What was asked before is answered.
  ~RocksStore() override;
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  [[nodiscard]] std::optional<ItemPointer> find(std::string_view space, std::string_view key) override;
  void get(std::string space, std::string key, Done<ItemPointer> done) override;
  void write(Change change, Done<void> done) override;
  void list(ListRequest request, Done<Listing> done) override;
  [[nodiscard]] std::vector<SpaceTotals> totals() const override;

  // Writes that were answered, and the groups that they were committed in. Any thread.
  [[nodiscard]] uint64_t writes() const { return writes_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t groups() const { return groups_.load(std::memory_order_relaxed); }

 private:
  struct Waiting {
    Change change;
    Done<void> done;
    [[nodiscard]] size_t bytes() const;
  };
  // What is known of a key while a group is made.
  struct Former {
    bool exists = false;
    bool is_apart = false;
    int64_t expires_s = 0;
    uint64_t bytes = 0;
  };
  struct Group {
    RocksDatabase::Batch batch;
    std::unordered_map<std::string, Former, StringHash, std::equal_to<>> formers;  // by the name of the entry
    std::map<std::string, Totals, std::less<>> totals;                             // of the namespaces that it changes
    std::vector<Done<void>> done;
  };

  RocksStore(std::string directory, const Clock& clock, const Options& options);
  Result<void> open_database();
  Result<void> read_totals_of_all();
  [[nodiscard]] int64_t now_s() const { return clock_.wall().microseconds / 1'000'000; }
  [[nodiscard]] bool is_expired(int64_t expires_s) const { return expires_s != 0 && expires_s <= now_s(); }

  void write_groups();
  void commit(std::vector<Waiting> waiting);
  Result<void> see_to_database(uint64_t bytes_needed);
  Result<void> add(Group& group, Change& change);
  Result<Former> former_of(Group& group, std::string_view name, std::string_view key);
  Totals& totals_of(Group& group, std::string_view space);
  void remove_former(Group& group, const Change& change, const Former& former);
  Result<void> finish(Group& group, bool durable);
  void sweep();
  [[nodiscard]] Duration until_next_expiry() const;

  void read_on(std::stop_token stop);
  void ask_reader(std::move_only_function<void()> work, std::move_only_function<void(Error)> refuse);
  Result<ItemPointer> read_item(std::string_view space, std::string_view key);
  Result<Listing> read_list(const ListRequest& request);

  const std::string directory_;
  const Clock& clock_;
  const Options options_;
  HotItems hot_;

  // Exclusive while it is opened again; null where that failed.
  mutable std::shared_mutex database_mutex_;
  std::unique_ptr<RocksDatabase> database_;
  bool is_broken_ = false;           // the writer's, as the next
  int64_t next_expiry_s_ = 0;        // no key expires before that
  std::vector<std::string> unsure_;  // entries of writes that failed, until the database is opened again

  mutable std::mutex totals_mutex_;
  std::map<std::string, Totals, std::less<>> totals_;  // changed by the writer only

  std::mutex writing_mutex_;  // guards what follows
  std::condition_variable written_to_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  bool ends_ = false;

  std::mutex reading_mutex_;  // guards what follows
  std::condition_variable_any asked_;
  std::deque<std::move_only_function<void()>> reads_;

  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> groups_{0};
  std::jthread reader_;
  std::jthread writer_;
};

}  // namespace verge::kv
