// DiskIndex: where on the disk the answers to a URL are. In memory, of a fixed size, rebuilt at each start.
//
// 24 bytes an answer, in buckets of eight that one hash chooses, so that a look-up touches three cache lines. It keeps
// 32 bits of the URL's hash beside the bucket's: what it finds are candidates, and the record on the disk says whose it
// is. A full bucket gives up the answer that was written first, of those that nobody used. What lies in a segment that
// is gone is not found any more, without a pass over the index.
//
// Threads: all functions from any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace verge::cache {

// In units of kRecordAlignment.
struct DiskPlace {
  uint32_t segment = 0;  // numbers rise; 0: none
  uint32_t offset = 0;
  uint32_t length = 0;
  bool operator==(const DiskPlace&) const = default;
};

class DiskIndex {
 public:
  static constexpr size_t kVariantsMax = 8;

  // Room for about so many answers.
  explicit DiskIndex(size_t answers_max);

  // `variant`: of what Vary selects by; the answer to the same URL and variant is replaced.
  void put(uint64_t url, uint32_t variant, DiskPlace place);
  // All answers to the URL.
  void forget(uint64_t url);
  // The one at that place, if it still counts.
  void forget(uint64_t url, DiskPlace place);

  struct Places {
    std::array<DiskPlace, kVariantsMax> places;
    size_t count = 0;
  };
  // Candidates, what was written last first. Counts a use of each.
  Places find(uint64_t url);
  [[nodiscard]] bool contains(uint64_t url) const;

  struct Entry {
    bool is_current = false;
    bool was_used = false;  // since it was put there
    uint32_t variant = 0;
  };
  [[nodiscard]] Entry at(uint64_t url, DiskPlace place) const;

  // Segments before this one are gone.
  void forget_before(uint32_t segment) { oldest_.store(segment, std::memory_order_relaxed); }
  // How many answers there are; goes through all of it.
  [[nodiscard]] uint64_t count() const;

 private:
  struct Slot {
    uint32_t tag = 0;  // of the URL's hash
    uint32_t variant = 0;
    DiskPlace place;
    uint32_t used = 0;
  };
  using Bucket = std::array<Slot, kVariantsMax>;
  static constexpr size_t kLocks = 256;

  [[nodiscard]] size_t bucket_of(uint64_t url) const { return static_cast<size_t>(url) & (buckets_.size() - 1); }
  [[nodiscard]] std::mutex& lock_of(size_t bucket) const { return locks_[bucket % kLocks]; }
  [[nodiscard]] bool is_there(const Slot& slot) const {
    return slot.place.segment != 0 && slot.place.segment >= oldest_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_of(const Slot& slot, uint64_t url) const {
    return is_there(slot) && slot.tag == static_cast<uint32_t>(url >> 32U);
  }

  std::vector<Bucket> buckets_;  // a power of two
  mutable std::array<std::mutex, kLocks> locks_;
  std::atomic<uint32_t> oldest_{1};
};

}  // namespace verge::cache
