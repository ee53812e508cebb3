// Store: the answers in memory, found by URL and by what Vary selects, within a fixed number of bytes.
//
// What goes when space is short is chosen by S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
// SOSP 2023): new answers stand in a small queue and leave it soon unless they were used meanwhile; used ones move to
// the main queue, which gives another round to what was used since the last; of what left the small queue the hashes
// are remembered for a while, and what comes back enters the main queue. So a scan over many URLs passes through a
// tenth of the space, and a hit costs one increment and takes no lock of the queues. LRU was the alternative: a hit
// moves list nodes under a lock, and one scan empties it.
//
// The index is divided into shards, each under its own lock, which a look-up holds while it compares and counts up. A
// hash only finds candidates: the URL itself is compared, so that nobody can make two URLs one.
//
// Threads: all functions from any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/metrics.h"
#include "cache/answer.h"
#include "cache/purges.h"

namespace verge::cache {

struct StoreOptions {
  uint64_t bytes_max = 256U << 20;
  size_t variants_max = 64;  // of one URL; the one stored first goes for another
};

struct StoreCounters {
  std::atomic<uint64_t> answers{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> evicted{0};
  std::atomic<uint64_t> stored{0};
};

class Store {
 public:
  using AnswerPointer = std::shared_ptr<const Answer>;

  Store(const StoreOptions& options, const Purges& purges, uint64_t hash_seed);

  struct Found {
    AnswerPointer answer;  // null: none
    bool is_softly_purged = false;
  };
  // The newest answer to the URL that belongs to a request with these fields, and counts a use of it. `url` as
  // Answer::url().
  Found find(std::string_view url, std::span<const net::HttpField> request_fields);
  // All answers to the URL that belong to such a request, the newest first, and counts a use of each.
  std::vector<Found> find_all(std::string_view url, std::span<const net::HttpField> request_fields);
  // The tags (ETag) of all answers to the URL that are held, for If-None-Match; at most `most`.
  std::vector<AnswerPointer> variants(std::string_view url, size_t most);

  // Adds an answer, or puts it in the place of the one for the same selecting fields and range. Its body may still
  // grow; settle() once it is complete. False, and it is not there, when its URL was invalidated after `started`.
  bool insert(const AnswerPointer& answer, uint64_t started = UINT64_MAX);
  // `answer` is there instead of `former`, if that is still there.
  void replace(const AnswerPointer& former, const AnswerPointer& answer);
  // Of answers that still arrive: asks for so much more. False when they hold half of the store already; then the
  // answer is not to be kept. Given back once it is settled or erased.
  bool grow(uint64_t bytes);
  void give_back(uint64_t bytes) { growing_bytes_ -= bytes; }
  // Counts what the answer takes now.
  void settle(const AnswerPointer& answer);
  void erase(const AnswerPointer& answer);

  // When a fetch is about to start: what is invalidated later is newer than what it brings.
  [[nodiscard]] uint64_t begin_fetch() { return ++fetch_clock_; }
  // All answers to the URL are gone, those that are under way included. True when there was one.
  bool invalidate(std::string_view url);
  // Whether the URL was not invalidated since a fetch began.
  [[nodiscard]] bool is_current(std::string_view url, uint64_t started);
  // Whether there is an answer to the URL; counts no use.
  [[nodiscard]] bool holds(std::string_view url);

  // A URL whose last answer could not be stored: its requests do not wait for each other until then. `reason`: a
  // literal.
  void note_unsharable(std::string_view url, int64_t until_ms, std::string_view reason);
  bool is_unsharable(std::string_view url, int64_t now_ms);
  // Why the last answer was not stored, as long as that is remembered; empty: it was, or nobody asked.
  [[nodiscard]] std::string_view why_unsharable(std::string_view url);

  [[nodiscard]] const StoreCounters& counters() const { return counters_; }

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kUnsharableMax = 4096;   // a shard
  static constexpr size_t kInvalidatedMax = 4096;  // likewise
  static constexpr uint8_t kUsesMax = 3;

  // One place in the index and in a queue.
  struct Slot {
    AnswerPointer answer;  // null: taken out of the index; under the shard's lock
    uint64_t hash = 0;
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint8_t> uses{0};
    std::atomic<bool> in_main{false};
    std::atomic<bool> gone{false};  // out of the index; its queue has not noticed yet
  };
  using SlotPointer = std::shared_ptr<Slot>;
  struct Unsharable {
    int64_t until_ms = 0;
    std::string_view reason;
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<uint64_t, std::vector<SlotPointer>> urls;  // newest last
    std::unordered_map<uint64_t, Unsharable> unsharable;
    std::unordered_map<uint64_t, uint64_t> invalidated;  // when, by the clock of fetches
    uint64_t all_invalidated = 0;                        // what is older than that counts as invalidated
  };

  [[nodiscard]] uint64_t hash_of(std::string_view url) const;
  Shard& shard_of(uint64_t hash) { return shards_[hash >> 58U]; }
  // Under the shard's lock.
  static bool is_current(const Shard& shard, uint64_t hash, uint64_t started);
  // Of one answer, on its slot; under the shard's lock.
  void recount(Slot& slot, uint64_t bytes);
  void take_out(Slot& slot);
  // Whether the slot's answer is the one that is looked for, which counts a use; takes it out when it was purged.
  enum class Match : uint8_t { kNo, kPurged, kYes };
  Match match(Slot& slot, std::string_view url, std::span<const net::HttpField> request_fields, Found& found);
  static void drop_slot(Shard& shard, uint64_t hash, const Slot* slot);
  void enqueue(const SlotPointer& slot);
  void sweep();
  void make_room();
  bool evict_one();
  // Takes the slot out of the index; false when it was not there any more.
  bool remove(const SlotPointer& slot);

  const StoreOptions options_;
  const Purges& purges_;
  const uint64_t seed_;
  std::array<Shard, kShards> shards_;
  StoreCounters counters_;
  std::atomic<uint64_t> fetch_clock_{0};
  std::atomic<uint64_t> growing_bytes_{0};

  std::mutex queues_mutex_;  // taken before a shard's, never the other way round
  std::deque<SlotPointer> small_;
  std::deque<SlotPointer> main_;
  std::atomic<uint64_t> small_bytes_{0};
  std::deque<uint64_t> ghosts_;
  std::unordered_set<uint64_t> ghost_set_;
};

}  // namespace verge::cache
