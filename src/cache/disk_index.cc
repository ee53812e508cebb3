#include "cache/disk_index.h"

#include <algorithm>
#include <bit>

namespace verge::cache {

// Three quarters full at most, as far as hashes spread evenly: fuller ones would give up answers in crowded buckets.
DiskIndex::DiskIndex(size_t answers_max) : buckets_(std::bit_ceil(std::max<size_t>(answers_max / 6, size_t{1}))) {}

void DiskIndex::put(uint64_t url, uint32_t variant, DiskPlace place) {
  const size_t at = bucket_of(url);
  const std::lock_guard lock(lock_of(at));
  Bucket& bucket = buckets_[at];
  const auto same =
      std::ranges::find_if(bucket, [&](const Slot& slot) { return is_of(slot, url) && slot.variant == variant; });
  const auto worth = [&](const Slot& slot) {
    if (!is_there(slot)) return std::pair<uint32_t, uint64_t>{0, 0};
    return std::pair<uint32_t, uint64_t>{slot.used, (uint64_t{slot.place.segment} << 32U) + slot.place.offset};
  };
  const auto chosen = same != bucket.end() ? same : std::ranges::min_element(bucket, {}, worth);
  *chosen = {.tag = static_cast<uint32_t>(url >> 32U), .variant = variant, .place = place, .used = 0};
}

void DiskIndex::forget(uint64_t url) {
  const size_t at = bucket_of(url);
  const std::lock_guard lock(lock_of(at));
  for (Slot& slot : buckets_[at]) {
    if (is_of(slot, url)) slot = {};
  }
}

void DiskIndex::forget(uint64_t url, DiskPlace place) {
  const size_t at = bucket_of(url);
  const std::lock_guard lock(lock_of(at));
  for (Slot& slot : buckets_[at]) {
    if (is_of(slot, url) && slot.place == place) slot = {};
  }
}

DiskIndex::Places DiskIndex::find(uint64_t url) {
  Places found;
  const size_t at = bucket_of(url);
  {
    const std::lock_guard lock(lock_of(at));
    for (Slot& slot : buckets_[at]) {
      if (!is_of(slot, url)) continue;
      slot.used = 1;
      found.places[found.count++] = slot.place;
    }
  }
  std::sort(found.places.begin(), found.places.begin() + static_cast<ptrdiff_t>(found.count),
            [](const DiskPlace& a, const DiskPlace& b) {
              return a.segment != b.segment ? a.segment > b.segment : a.offset > b.offset;
            });
  return found;
}

bool DiskIndex::contains(uint64_t url) const {
  const size_t at = bucket_of(url);
  const std::lock_guard lock(lock_of(at));
  return std::ranges::any_of(buckets_[at], [&](const Slot& slot) { return is_of(slot, url); });
}

DiskIndex::Entry DiskIndex::at(uint64_t url, DiskPlace place) const {
  const size_t at = bucket_of(url);
  const std::lock_guard lock(lock_of(at));
  for (const Slot& slot : buckets_[at]) {
    if (is_of(slot, url) && slot.place == place) {
      return {.is_current = true, .was_used = slot.used != 0, .variant = slot.variant};
    }
  }
  return {};
}

uint64_t DiskIndex::count() const {
  uint64_t count = 0;
  for (size_t at = 0; at < buckets_.size(); ++at) {
    const std::lock_guard lock(lock_of(at));
    count +=
        static_cast<uint64_t>(std::ranges::count_if(buckets_[at], [&](const Slot& slot) { return is_there(slot); }));
  }
  return count;
}

}  // namespace verge::cache
