#include "kv/hot_items.h"

namespace verge::kv {

std::optional<ItemPointer> HotItems::find(std::string_view name) {
  Share& share = share_of(name);
  const std::lock_guard lock(share.mutex);
  const auto found = share.places.find(name);
  if (found == share.places.end()) return std::nullopt;
  share.entries.splice(share.entries.begin(), share.entries, found->second);
  return found->second->item;
}

HotItems::Ticket HotItems::ticket(std::string_view name) {
  Share& share = share_of(name);
  const std::lock_guard lock(share.mutex);
  return share.writes;
}

void HotItems::keep(std::string_view name, ItemPointer item, Ticket ticket) {
  const size_t bytes = kOverheadBytes + name.size() + (item ? item->value.size() + item->metadata.size() : 0);
  // One value does not take the place of all others.
  if (bytes > bytes_max_ / 2) return;
  Share& share = share_of(name);
  const std::lock_guard lock(share.mutex);
  if (share.writes != ticket || share.places.contains(name)) return;
  share.entries.push_front({std::string(name), std::move(item), bytes});
  share.places.emplace(share.entries.front().name, share.entries.begin());
  share.bytes += bytes;
  while (share.bytes > bytes_max_) remove(share, std::prev(share.entries.end()));
}

void HotItems::forget(std::string_view name) {
  Share& share = share_of(name);
  const std::lock_guard lock(share.mutex);
  ++share.writes;
  const auto found = share.places.find(name);
  if (found != share.places.end()) remove(share, found->second);
}

void HotItems::remove(Share& share, std::list<Entry>::iterator entry) {
  share.bytes -= entry->bytes;
  share.places.erase(entry->name);
  share.entries.erase(entry);
}

size_t HotItems::bytes() const {
  size_t sum = 0;
  for (const Share& share : shares_) {
    const std::lock_guard lock(share.mutex);
    sum += share.bytes;
  }
  return sum;
}

}  // namespace verge::kv
