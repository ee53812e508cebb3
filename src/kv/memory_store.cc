#include "kv/memory_store.h"

#include <fmt/format.h>

#include "kv/records.h"

namespace verge::kv {

bool MemoryStore::is_expired(const Item& item) const {
  return item.expires_s != 0 && item.expires_s <= clock_.wall().microseconds / 1'000'000;
}

std::optional<ItemPointer> MemoryStore::find(std::string_view space, std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto its = spaces_.find(space);
  if (its == spaces_.end()) return ItemPointer();
  const auto found = its->second.items.find(key);
  if (found == its->second.items.end() || is_expired(*found->second)) return ItemPointer();
  return found->second;
}

void MemoryStore::get(std::string space, std::string key, Done<ItemPointer> done) {
  done(find(space, key).value_or(nullptr));
}

void MemoryStore::write(Change change, Done<void> done) {
  const std::string space = change.space;
  const Result<void> applied = apply(std::move(change));
  tell_write(space);
  done(applied);
}

Result<void> MemoryStore::apply(Change change) {
  if (const Result<void> good = check_key(change.key); !good) return good;
  if (change.item) {
    if (const Result<void> good = check_item(*change.item); !good) return good;
  }
  const std::lock_guard lock(mutex_);
  Space& space = spaces_[change.space];
  const uint64_t needed = change.item ? stored_bytes(change.key, *change.item) : 0;
  const auto freed = [&] {
    const auto before = space.items.find(change.key);
    return before == space.items.end() ? 0 : stored_bytes(change.key, *before->second);
  };
  if (needed > 0 && space.bytes - freed() + needed > bytes_max_) {
    forget_expired(space);
    if (space.bytes - freed() + needed > bytes_max_) return space_is_full(change.space, bytes_max_);
  }
  space.bytes -= freed();
  space.items.erase(change.key);
  space.bytes += needed;
  if (change.item) space.items.emplace(change.key, std::make_shared<const Item>(std::move(*change.item)));
  return {};
}

void MemoryStore::forget_expired(Space& space) const {
  std::erase_if(space.items, [&](const auto& one) {
    if (!is_expired(*one.second)) return false;
    space.bytes -= stored_bytes(one.first, *one.second);
    return true;
  });
}

void MemoryStore::list(ListRequest request, Done<Listing> done) {
  Listing listing;
  {
    const std::lock_guard lock(mutex_);
    const auto& items = spaces_[request.space].items;
    auto at = request.after < request.prefix ? items.lower_bound(request.prefix) : items.upper_bound(request.after);
    size_t steps = 0;
    const std::string* last = nullptr;
    for (; at != items.end() && at->first.starts_with(request.prefix); ++at) {
      const bool is_there = !is_expired(*at->second);
      if (steps++ == kListStepsMax || (is_there && listing.keys.size() == request.limit)) {
        listing.complete = false;
        if (last != nullptr) listing.last = *last;
        break;
      }
      last = &at->first;
      if (is_there) listing.keys.push_back({at->first, at->second->metadata, at->second->expires_s});
    }
  }
  done(std::move(listing));
}

std::vector<SpaceTotals> MemoryStore::totals() const {
  const std::lock_guard lock(mutex_);
  std::vector<SpaceTotals> all;
  for (const auto& [name, space] : spaces_) all.push_back({name, space.bytes, space.items.size(), bytes_max_});
  return all;
}

}  // namespace verge::kv
