// MemoryStore: a KeyValueStore that ends with its process: `verge worker serve` and `dev`, and the model of tests.
#pragma once

#include <map>
#include <mutex>

#include "base/clock.h"
#include "kv/key_value_store.h"

namespace verge::kv {

class MemoryStore final : public KeyValueStore {
 public:
  // `bytes_max`: of each namespace.
  explicit MemoryStore(const Clock& clock, uint64_t bytes_max = 1U << 30) : clock_(clock), bytes_max_(bytes_max) {}

  [[nodiscard]] std::optional<ItemPointer> find(std::string_view space, std::string_view key) override;
  void get(std::string space, std::string key, Done<ItemPointer> done) override;
  void write(Change change, Done<void> done) override;
  void list(ListRequest request, Done<Listing> done) override;
  [[nodiscard]] std::vector<SpaceTotals> totals() const override;

 private:
  struct Space {
    std::map<std::string, ItemPointer, std::less<>> items;
    uint64_t bytes = 0;
  };
  Result<void> apply(Change change);
  void forget_expired(Space& space) const;
  [[nodiscard]] bool is_expired(const Item& item) const;

  const Clock& clock_;
  const uint64_t bytes_max_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Space, std::less<>> spaces_;
};

}  // namespace verge::kv
