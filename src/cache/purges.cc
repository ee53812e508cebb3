#include "cache/purges.h"

#include <algorithm>

#include "base/hash.h"

namespace verge::cache {

uint64_t tag_hash(TagKind kind, std::string_view text) { return hash64(text, static_cast<uint64_t>(kind) + 1); }

void Purges::purge_tag(uint64_t tag, bool softly) {
  purge({.kind = PurgeRecord::Kind::kTag, .softly = softly, .generation = 0, .tag = tag, .prefix = {}});
}

void Purges::purge_prefix(std::string_view url_prefix, bool softly) {
  purge({.kind = PurgeRecord::Kind::kPrefix,
         .softly = softly,
         .generation = 0,
         .tag = 0,
         .prefix = std::string(url_prefix)});
}

void Purges::purge_all(bool softly) {
  purge({.kind = PurgeRecord::Kind::kAll, .softly = softly, .generation = 0, .tag = 0, .prefix = {}});
}

// A purge is in effect from when the new number can be read.
void Purges::purge(PurgeRecord record) {
  const std::unique_lock lock(mutex_);
  record.generation = generation_.load(std::memory_order_relaxed) + 1;
  if (told_) told_(record);
  take(record);
}

void Purges::restore(const PurgeRecord& record) {
  const std::unique_lock lock(mutex_);
  take(record);
}

void Purges::take(const PurgeRecord& record) {
  const uint64_t generation = record.generation;
  switch (record.kind) {
    case PurgeRecord::Kind::kTag:
      if (stamps_.size() >= kStampsMax && !stamps_.contains(record.tag)) {
        stamps_.clear();
        all_.set(generation, false);
      }
      stamps_[record.tag].set(generation, record.softly);
      break;
    case PurgeRecord::Kind::kPrefix: {
      const auto same = std::ranges::find(prefixes_, record.prefix, &Prefix::text);
      if (same != prefixes_.end()) {
        same->stamp.set(generation, record.softly);
        break;
      }
      if (prefixes_.size() >= kPrefixesMax) {
        prefixes_.clear();
        all_.set(generation, false);
      }
      prefixes_.push_back({.text = record.prefix, .stamp = {}});
      prefixes_.back().stamp.set(generation, record.softly);
      break;
    }
    case PurgeRecord::Kind::kAll:
      all_.set(generation, record.softly);
      if (!record.softly) {
        stamps_.clear();
        prefixes_.clear();
      }
      break;
  }
  if (generation > generation_.load(std::memory_order_relaxed)) {
    generation_.store(generation, std::memory_order_release);
  }
}

std::vector<PurgeRecord> Purges::records() const {
  std::vector<PurgeRecord> records;
  const std::shared_lock lock(mutex_);
  const auto add = [&](const Stamp& stamp, PurgeRecord record) {
    for (const bool softly : {false, true}) {
      record.softly = softly;
      record.generation = softly ? stamp.soft : stamp.hard;
      if (record.generation != 0) records.push_back(record);
    }
  };
  add(all_, {.kind = PurgeRecord::Kind::kAll, .softly = false, .generation = 0, .tag = 0, .prefix = {}});
  for (const auto& [tag, stamp] : stamps_) {
    add(stamp, {.kind = PurgeRecord::Kind::kTag, .softly = false, .generation = 0, .tag = tag, .prefix = {}});
  }
  for (const Prefix& prefix : prefixes_) {
    add(prefix.stamp,
        {.kind = PurgeRecord::Kind::kPrefix, .softly = false, .generation = 0, .tag = 0, .prefix = prefix.text});
  }
  std::ranges::sort(records, {}, &PurgeRecord::generation);
  return records;
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
