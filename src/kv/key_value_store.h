// KeyValueStore: namespaces of keys with values, as code at the edge keeps them: small reads by key, durable writes.
//
// The interface that the rest of the node knows. Its implementations: RocksStore, on the disk of this node;
// MemoryStore, for a developer's machine and as the model of tests. One that is replicated between nodes may take their
// place: nothing here says where a value is.
//
// A write has happened as a whole or not at all, and is there for every later read, of any thread, once it was
// answered. What has expired is not there: nobody is given it, whether its bytes are still kept or not. Of two writes
// to one key that are under way at once either may be the later one; those of one caller are in the order of their
// calls.
//
// Errors: kv.value (a key, value or metadata is too long), kv.namespace-full, kv.busy, kv.storage, storage.full.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::kv {

inline constexpr size_t kKeyBytesMax = 512;
inline constexpr size_t kMetadataBytesMax = 1024;
inline constexpr size_t kValueBytesMax = 25U << 20;
inline constexpr size_t kListMax = 1000;
// Keys that one list looks at, those that have expired with the others: it ends there, and can be gone on with.
inline constexpr size_t kListStepsMax = 10'000;
// Of values that come in pieces, of all that write at the time.
inline constexpr size_t kArrivingBytesMax = 128U << 20;
inline constexpr size_t kNamespaceNameMax = 64;

struct Item {
  std::string value;
  std::string metadata;   // JSON; empty: none
  int64_t expires_s = 0;  // seconds since 1970; 0: never
};
// Shared by the memory of what was read of late and those who are sending it. Null: there is no such key.
using ItemPointer = std::shared_ptr<const Item>;

struct Change {
  std::string space;  // the namespace
  std::string key;
  std::optional<Item> item;  // nothing: the key is removed
};

struct ListRequest {
  std::string space;
  std::string prefix;
  std::string after;  // the key after which to go on; empty: from the beginning
  size_t limit = kListMax;
};
struct ListedKey {
  std::string key;
  std::string metadata;
  int64_t expires_s = 0;
};
struct Listing {
  std::vector<ListedKey> keys;  // in the order of their bytes; may be empty where there are more
  bool complete = true;         // there are no more
  std::string last;             // where there are: the key after which to go on
};

struct SpaceTotals {
  std::string name;
  uint64_t bytes = 0;  // of keys, values and metadata
  uint64_t keys = 0;
  uint64_t bytes_max = 0;
};

// Called once, on a thread of the store or within the call; it posts to where the answer is wanted.
template <class T>
using Done = std::move_only_function<void(Result<T>)>;

// Room for bytes, shared by all threads.
class Room {
 public:
  explicit Room(size_t bytes_max) : bytes_max_(bytes_max) {}
  // False: there is not so much left, and nothing is taken.
  [[nodiscard]] bool take(size_t bytes);
  void give_back(size_t bytes) { bytes_ -= bytes; }
  [[nodiscard]] size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] size_t bytes_max() const { return bytes_max_; }
  [[nodiscard]] uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  const size_t bytes_max_;
  std::atomic<size_t> bytes_{0};
  std::atomic<uint64_t> refused_{0};
};

class KeyValueStore {
 public:
  virtual ~KeyValueStore() = default;

  // From any thread, all of them.

  // What can be said without waiting for the disk. Nothing: ask get().
  [[nodiscard]] virtual std::optional<ItemPointer> find(std::string_view space, std::string_view key) = 0;
  virtual void get(std::string space, std::string key, Done<ItemPointer> done) = 0;
  // Durable when it is answered.
  virtual void write(Change change, Done<void> done) = 0;
  virtual void list(ListRequest request, Done<Listing> done) = 0;
  // `observer` is called with each namespace that was written to, once the write can be read and before it is answered,
  // on the writer's thread. Before the first write.
  void observe_writes(std::function<void(std::string_view space)> observer) { observer_ = std::move(observer); }
  // Of all namespaces that have ever had a key.
  [[nodiscard]] virtual std::vector<SpaceTotals> totals() const = 0;
  // For values of which not all has come yet: who gathers one takes room for what it has.
  [[nodiscard]] Room& arriving() { return arriving_; }
  [[nodiscard]] const Room& arriving() const { return arriving_; }

 protected:
  void tell_write(std::string_view space) const {
    if (observer_) observer_(space);
  }

 private:
  Room arriving_{kArrivingBytesMax};
  std::function<void(std::string_view space)> observer_;
};

// Error: kv.value.
[[nodiscard]] Result<void> check_key(std::string_view key);
[[nodiscard]] Result<void> check_item(const Item& item);
// Letters, digits, '-', '_' and '.', 1 to 64 of them.
[[nodiscard]] bool is_space_name(std::string_view name);

}  // namespace verge::kv
