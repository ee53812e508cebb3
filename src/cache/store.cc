#include "cache/store.h"

#include <algorithm>

#include "base/hash.h"

namespace verge::cache {
namespace {

// Of a slot, its places in index and queue.
constexpr uint64_t kSlotBytes = 256;
constexpr uint64_t kSmallPart = 10;  // a tenth

uint64_t bytes_of(const Answer& answer) { return kSlotBytes + answer.overhead_bytes() + answer.body()->held_bytes(); }

}  // namespace

Store::Store(const StoreOptions& options, const Purges& purges, uint64_t hash_seed)
    : options_(options), purges_(purges), seed_(hash_seed) {}

uint64_t Store::hash_of(std::string_view url) const { return hash64(url, seed_); }

// Under the shard's lock.
Store::Match Store::match(Slot& slot, std::string_view url, std::span<const net::HttpField> request_fields,
                          Found& found) {
  const Answer& answer = *slot.answer;
  if (answer.url() != url) return Match::kNo;
  if (!answer.selectors().empty() && !selects(answer.selectors(), request_fields, answer.content_language()))
    return Match::kNo;
  const PurgeVerdict verdict = purges_.verdict(answer.marks());
  if (verdict == PurgeVerdict::kGone) {
    take_out(slot);
    return Match::kPurged;
  }
  const uint8_t uses = slot.uses.load(std::memory_order_relaxed);
  if (uses < kUsesMax) slot.uses.store(uses + 1, std::memory_order_relaxed);
  found = {.answer = slot.answer, .is_softly_purged = verdict == PurgeVerdict::kStale};
  return Match::kYes;
}

Store::Found Store::find(std::string_view url, std::span<const net::HttpField> request_fields) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return {};
  std::vector<SlotPointer>& slots = entry->second;
  Found found;
  for (size_t i = slots.size(); i-- > 0;) {
    const Match match = this->match(*slots[i], url, request_fields, found);
    if (match == Match::kYes) return found;
    if (match == Match::kPurged) slots.erase(slots.begin() + static_cast<ptrdiff_t>(i));
  }
  if (slots.empty()) shard.urls.erase(entry);
  return {};
}

std::vector<Store::Found> Store::find_all(std::string_view url, std::span<const net::HttpField> request_fields) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  std::vector<Found> all;
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return all;
  std::vector<SlotPointer>& slots = entry->second;
  Found found;
  for (size_t i = slots.size(); i-- > 0;) {
    const Match match = this->match(*slots[i], url, request_fields, found);
    if (match == Match::kYes) all.push_back(std::move(found));
    if (match == Match::kPurged) slots.erase(slots.begin() + static_cast<ptrdiff_t>(i));
  }
  if (slots.empty()) shard.urls.erase(entry);
  return all;
}

std::vector<Store::AnswerPointer> Store::variants(std::string_view url, size_t most) {
  std::vector<AnswerPointer> answers;
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return answers;
  for (auto slot = entry->second.rbegin(); slot != entry->second.rend() && answers.size() < most; ++slot) {
    const AnswerPointer& answer = (*slot)->answer;
    if (answer->url() == url && purges_.verdict(answer->marks()) != PurgeVerdict::kGone) answers.push_back(answer);
  }
  return answers;
}

void Store::recount(Slot& slot, uint64_t bytes) {
  const uint64_t before = slot.bytes.exchange(bytes);
  counters_.bytes += bytes - before;
  if (!slot.in_main) small_bytes_ += bytes - before;
}

void Store::take_out(Slot& slot) {
  recount(slot, 0);
  slot.answer.reset();
  slot.gone = true;
  --counters_.answers;
}

void Store::drop_slot(Shard& shard, uint64_t hash, const Slot* slot) {
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return;
  std::erase_if(entry->second, [&](const SlotPointer& one) { return one.get() == slot; });
  if (entry->second.empty()) shard.urls.erase(entry);
}

bool Store::invalidate(std::string_view url) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const uint64_t now = ++fetch_clock_;
  if (shard.invalidated.size() >= kInvalidatedMax) {
    shard.invalidated.clear();
    shard.all_invalidated = now;
  }
  shard.invalidated[hash] = now;
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return false;
  const size_t before = entry->second.size();
  std::erase_if(entry->second, [&](const SlotPointer& slot) {
    if (slot->answer->url() != url) return false;
    take_out(*slot);
    return true;
  });
  const bool had_one = entry->second.size() < before;
  if (entry->second.empty()) shard.urls.erase(entry);
  return had_one;
}

bool Store::is_current(const Shard& shard, uint64_t hash, uint64_t started) {
  const auto invalidated = shard.invalidated.find(hash);
  if (started <= shard.all_invalidated) return false;
  return invalidated == shard.invalidated.end() || started > invalidated->second;
}

bool Store::is_current(std::string_view url, uint64_t started) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  return is_current(shard, hash, started);
}

bool Store::holds(std::string_view url) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return false;
  return std::ranges::any_of(entry->second, [&](const SlotPointer& slot) { return slot->answer->url() == url; });
}

bool Store::insert(const AnswerPointer& answer, uint64_t started) {
  auto slot = std::make_shared<Slot>();
  slot->hash = hash_of(answer->url());
  Shard& shard = shard_of(slot->hash);
  {
    const std::lock_guard lock(shard.mutex);
    if (!is_current(shard, slot->hash, started)) return false;
    std::vector<SlotPointer>& slots = shard.urls[slot->hash];
    shard.unsharable.erase(slot->hash);
    const auto same = std::ranges::find_if(slots, [&](const SlotPointer& other) {
      return other->answer->url() == answer->url() && other->answer->selectors() == answer->selectors() &&
             other->answer->range() == answer->range();
    });
    if (same != slots.end()) {
      // The place in its queue stays; in the order of the variants it is the newest.
      SlotPointer kept = std::move(*same);
      kept->answer = answer;
      recount(*kept, bytes_of(*answer));
      slots.erase(same);
      slots.push_back(std::move(kept));
      ++counters_.stored;
      return true;
    }
    if (slots.size() >= options_.variants_max) {
      take_out(*slots.front());
      slots.erase(slots.begin());
    }
    slot->answer = answer;
    slots.push_back(slot);
    ++counters_.answers;
    ++counters_.stored;
  }
  enqueue(slot);
  make_room();
  return true;
}

void Store::enqueue(const SlotPointer& slot) {
  const std::lock_guard queues(queues_mutex_);
  const bool came_back = ghost_set_.erase(slot->hash) > 0;
  slot->in_main = came_back;
  {
    Shard& shard = shard_of(slot->hash);
    const std::lock_guard lock(shard.mutex);
    if (slot->answer) recount(*slot, bytes_of(*slot->answer));
  }
  (came_back ? main_ : small_).push_back(slot);
  sweep();
}

// Under the lock of the queues. What was purged or erased leaves its queue when it comes to the front; where that is
// far off, the queues are gone through.
void Store::sweep() {
  constexpr size_t kGoneMax = 1024;
  if (small_.size() + main_.size() <= 2 * counters_.answers + kGoneMax) return;
  for (std::deque<SlotPointer>* queue : {&small_, &main_}) {
    std::erase_if(*queue, [](const SlotPointer& slot) { return slot->gone.load(); });
  }
}

void Store::replace(const AnswerPointer& former, const AnswerPointer& answer) {
  const uint64_t hash = hash_of(former->url());
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return;
  for (const SlotPointer& slot : entry->second) {
    if (slot->answer != former) continue;
    slot->answer = answer;
    return recount(*slot, bytes_of(*answer));
  }
}

bool Store::grow(uint64_t bytes) {
  if (growing_bytes_.fetch_add(bytes) + bytes <= options_.bytes_max / 2) return true;
  growing_bytes_ -= bytes;
  return false;
}

void Store::settle(const AnswerPointer& answer) {
  replace(answer, answer);
  make_room();
}

void Store::erase(const AnswerPointer& answer) {
  const uint64_t hash = hash_of(answer->url());
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.urls.find(hash);
  if (entry == shard.urls.end()) return;
  const auto slot = std::ranges::find(entry->second, answer, [](const SlotPointer& one) { return one->answer; });
  if (slot == entry->second.end()) return;
  take_out(**slot);
  entry->second.erase(slot);
  if (entry->second.empty()) shard.urls.erase(entry);
}

void Store::make_room() {
  if (counters_.bytes <= options_.bytes_max) return;
  const std::lock_guard queues(queues_mutex_);
  while (counters_.bytes > options_.bytes_max && evict_one()) {
  }
}

// Under the lock of the queues. False when both are empty.
bool Store::evict_one() {
  const bool from_small = !small_.empty() && (main_.empty() || small_bytes_ > options_.bytes_max / kSmallPart);
  std::deque<SlotPointer>& queue = from_small ? small_ : main_;
  if (queue.empty()) return false;
  const SlotPointer slot = std::move(queue.front());
  queue.pop_front();
  const uint8_t uses = slot->uses.load(std::memory_order_relaxed);
  if (from_small && uses > 1) {
    Shard& shard = shard_of(slot->hash);
    const std::lock_guard lock(shard.mutex);
    if (!slot->answer) return true;
    small_bytes_ -= slot->bytes;
    slot->in_main = true;
    slot->uses = 0;
    main_.push_back(slot);
    return true;
  }
  if (!from_small && uses > 0) {
    slot->uses = uses - 1;
    main_.push_back(slot);
    return true;
  }
  if (!remove(slot)) return true;
  ++counters_.evicted;
  if (from_small && ghost_set_.insert(slot->hash).second) {
    ghosts_.push_back(slot->hash);
    // As many as the main queue has answers.
    while (ghosts_.size() > std::max<size_t>(main_.size(), 64)) {
      ghost_set_.erase(ghosts_.front());
      ghosts_.pop_front();
    }
  }
  return true;
}

bool Store::remove(const SlotPointer& slot) {
  Shard& shard = shard_of(slot->hash);
  const std::lock_guard lock(shard.mutex);
  if (!slot->answer) return false;
  take_out(*slot);
  drop_slot(shard, slot->hash, slot.get());
  return true;
}

void Store::note_unsharable(std::string_view url, int64_t until_ms, std::string_view reason) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard.unsharable.size() >= kUnsharableMax) shard.unsharable.clear();
  shard.unsharable[hash] = {until_ms, reason};
}

bool Store::is_unsharable(std::string_view url, int64_t now_ms) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto noted = shard.unsharable.find(hash);
  return noted != shard.unsharable.end() && noted->second.until_ms > now_ms;
}

std::string_view Store::why_unsharable(std::string_view url) {
  const uint64_t hash = hash_of(url);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto noted = shard.unsharable.find(hash);
  return noted != shard.unsharable.end() ? noted->second.reason : std::string_view{};
}

}  // namespace verge::cache
