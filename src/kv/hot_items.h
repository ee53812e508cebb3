// HotItems: what was read of late, in memory, so that a read need not wait for a thread; also that a key is not there.
//
// A read that goes to the disk takes a ticket before it and gives it back with what it found: where the key's share of
// the memory was written to meanwhile, what it found may be old, and is not kept.
//
// Threading: any.
#pragma once

#include <array>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "kv/key_value_store.h"

namespace verge::kv {

class HotItems {
 public:
  explicit HotItems(size_t bytes_max) : bytes_max_(bytes_max / kShares) {}

  // `name`: of an entry (records.h).
  [[nodiscard]] std::optional<ItemPointer> find(std::string_view name);
  using Ticket = uint64_t;
  [[nodiscard]] Ticket ticket(std::string_view name);
  void keep(std::string_view name, ItemPointer item, Ticket ticket);
  // After a write of it.
  void forget(std::string_view name);
  [[nodiscard]] size_t bytes() const;

 private:
  static constexpr size_t kShares = 16;
  static constexpr size_t kOverheadBytes = 160;  // of an entry
  struct Entry {
    std::string name;
    ItemPointer item;
    size_t bytes;
  };
  struct Share {
    mutable std::mutex mutex;  // guards what follows
    std::list<Entry> entries;  // the one that was used last first
    std::unordered_map<std::string_view, std::list<Entry>::iterator, StringHash> places;  // of names in entries
    size_t bytes = 0;
    Ticket writes = 0;
  };
  Share& share_of(std::string_view name) { return shares_[hash64(name, kSeed) % kShares]; }
  static void remove(Share& share, std::list<Entry>::iterator entry);

  static constexpr uint64_t kSeed = 1;
  const size_t bytes_max_;  // of a share
  std::array<Share, kShares> shares_;
};

}  // namespace verge::kv
