// Purges: what was purged, by stamps. A purge notes a number; an answer that was fetched before the number of one of
// its tags is gone. So a purge takes the same short time whether it covers one answer or a million, and nothing is
// touched but what is asked for afterwards.
//
// An answer remembers up to which number it was checked: its tags are looked up once after each purge, not once a hit.
//
// Soft purges make answers stale instead: they may be served while they are validated, as stale-while-revalidate
// allows.
//
// Who keeps them over a restart is told of each (see PurgeJournal), in their order.
//
// The number of stamps is bounded. When there is no room for another, all that was fetched up to now counts as purged
// and the stamps begin anew: too much goes, never too little.
//
// Threads: all functions from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace verge::cache {

// Of a tag as it is compared. What it names ("tag", "url", "host", "group") keeps equal texts of different kinds apart.
enum class TagKind : uint8_t { kTag, kUrl, kHost, kGroup };
uint64_t tag_hash(TagKind kind, std::string_view text);

enum class PurgeVerdict : uint8_t { kKept, kStale, kGone };

// What an answer carries for its purges.
struct PurgeMarks {
  std::vector<uint64_t> tags;  // tag_hash()es
  std::string url;             // for prefixes
  uint64_t fetched_at = 0;     // generation() when its request was sent
  // The generation up to which it was checked, times four, plus the verdict.
  mutable std::atomic<uint64_t> checked{0};
};

// One purge, as it is kept.
struct PurgeRecord {
  enum class Kind : uint8_t { kTag, kPrefix, kAll };
  Kind kind = Kind::kTag;
  bool softly = false;
  uint64_t generation = 0;
  uint64_t tag = 0;    // of kTag
  std::string prefix;  // of kPrefix
};

class Purges {
 public:
  static constexpr size_t kStampsMax = 1'000'000;
  static constexpr size_t kPrefixesMax = 1024;

  // Rises with each purge. Note it before the request for an answer is sent: what is purged meanwhile purges it too.
  [[nodiscard]] uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  void purge_tag(uint64_t tag, bool softly);
  void purge_prefix(std::string_view url_prefix, bool softly);
  void purge_all(bool softly);

  // Called with each purge before it is in effect, under the lock. Set before there is one.
  void when_purged(std::function<void(const PurgeRecord&)> told) { told_ = std::move(told); }
  // A purge of an earlier life; in the order of their generations, before anything is asked.
  void restore(const PurgeRecord& record);
  // What restore() would have to be told for the present state.
  [[nodiscard]] std::vector<PurgeRecord> records() const;

  [[nodiscard]] PurgeVerdict verdict(const PurgeMarks& marks) const {
    const uint64_t now = generation();
    const uint64_t checked = marks.checked.load(std::memory_order_relaxed);
    if (checked >> 2U == now) return static_cast<PurgeVerdict>(checked & 3U);
    return check(marks, now);
  }

 private:
  // Generations of the latest purge of either kind; 0: none.
  struct Stamp {
    uint64_t hard = 0;
    uint64_t soft = 0;
    void set(uint64_t generation, bool softly) { (softly ? soft : hard) = generation; }
  };
  struct Prefix {
    std::string text;
    Stamp stamp;
  };

  PurgeVerdict check(const PurgeMarks& marks, uint64_t now) const;
  void purge(PurgeRecord record);
  void take(const PurgeRecord& record);

  std::atomic<uint64_t> generation_{1};
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, Stamp> stamps_;
  std::vector<Prefix> prefixes_;
  Stamp all_;
  std::function<void(const PurgeRecord&)> told_;
};

}  // namespace verge::cache
