#include "cache/purges.h"

#include <algorithm>

#include "base/hash.h"

namespace verge::cache {

uint64_t tag_hash(TagKind kind, std::string_view text) { return hash64(text, static_cast<uint64_t>(kind) + 1); }

// Under the lock: a purge is in effect from when the new number can be read.
uint64_t Purges::next() { return generation_.load(std::memory_order_relaxed) + 1; }

void Purges::purge_tag(uint64_t tag, bool softly) {
  const std::unique_lock lock(mutex_);
  const uint64_t generation = next();
  if (stamps_.size() >= kStampsMax && !stamps_.contains(tag)) {
    stamps_.clear();
    all_.set(generation, false);
  }
  stamps_[tag].set(generation, softly);
  generation_.store(generation, std::memory_order_release);
}

void Purges::purge_prefix(std::string_view url_prefix, bool softly) {
  const std::unique_lock lock(mutex_);
  const uint64_t generation = next();
  const auto same = std::ranges::find(prefixes_, url_prefix, &Prefix::text);
  if (same != prefixes_.end()) {
    same->stamp.set(generation, softly);
  } else {
    if (prefixes_.size() >= kPrefixesMax) {
      prefixes_.clear();
      all_.set(generation, false);
    }
    prefixes_.push_back({.text = std::string(url_prefix), .stamp = {}});
    prefixes_.back().stamp.set(generation, softly);
  }
  generation_.store(generation, std::memory_order_release);
}

void Purges::purge_all(bool softly) {
  const std::unique_lock lock(mutex_);
  const uint64_t generation = next();
  all_.set(generation, softly);
  if (!softly) {
    stamps_.clear();
    prefixes_.clear();
  }
  generation_.store(generation, std::memory_order_release);
}

PurgeVerdict Purges::check(const PurgeMarks& marks, uint64_t now) const {
  PurgeVerdict verdict = PurgeVerdict::kKept;
  const auto apply = [&](const Stamp& stamp) {
    if (stamp.hard > marks.fetched_at) verdict = PurgeVerdict::kGone;
    if (stamp.soft > marks.fetched_at && verdict == PurgeVerdict::kKept) verdict = PurgeVerdict::kStale;
  };
  {
    const std::shared_lock lock(mutex_);
    apply(all_);
    for (const uint64_t tag : marks.tags) {
      const auto stamp = stamps_.find(tag);
      if (stamp != stamps_.end()) apply(stamp->second);
    }
    for (const Prefix& prefix : prefixes_) {
      if (std::string_view(marks.url).starts_with(prefix.text)) apply(prefix.stamp);
    }
  }
  // A purge since `now` was read only makes the next look-up check again.
  marks.checked.store(now << 2U | static_cast<uint64_t>(verdict), std::memory_order_relaxed);
  return verdict;
}

}  // namespace verge::cache
