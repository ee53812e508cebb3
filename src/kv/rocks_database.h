// RocksDatabase: a RocksDB database as this folder uses it: names and bytes, batches that happen as a whole, scans.
//
// Errors: kv.library; kv.storage, with what RocksDB says; storage.full.
//
// Threading: from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace verge::kv {

class RocksDatabase {
 public:
  struct Options {
    size_t write_buffer_bytes = 8U << 20;
    size_t block_cache_bytes = 8U << 20;
  };
  static Result<std::unique_ptr<RocksDatabase>> open(const std::string& directory, const Options& options);
  virtual ~RocksDatabase() = default;

  enum class Lookup : uint8_t { kFound, kMissing, kUnknown };

  // A state of the whole, which later writes do not change. Gone before the database.
  class View {
   public:
    virtual ~View() = default;
    virtual Result<Lookup> find(std::string_view name, std::string& value) = 0;
    // Calls `take` with each name and value from `begin` to before `end`, until it gives false.
    using Take = std::function<bool(std::string_view name, std::string_view value)>;
    virtual Result<void> scan(std::string_view begin, std::string_view end, const Take& take) = 0;
  };
  [[nodiscard]] virtual std::unique_ptr<View> view() = 0;

  // The last that was written. Without `may_wait`: kUnknown where the disk would have to be read.
  virtual Result<Lookup> find(std::string_view name, bool may_wait, std::string& value) = 0;

  // In this order; all or nothing.
  class Batch {
   public:
    void put(std::string name, std::string value) {
      bytes_ += name.size() + value.size();
      changes_.emplace_back(std::move(name), std::move(value));
    }
    void remove(std::string name) {
      bytes_ += name.size();
      changes_.emplace_back(std::move(name), std::nullopt);
    }
    [[nodiscard]] size_t bytes() const { return bytes_; }
    [[nodiscard]] bool empty() const { return changes_.empty(); }
    [[nodiscard]] const std::vector<std::pair<std::string, std::optional<std::string>>>& changes() const {
      return changes_;
    }

   private:
    std::vector<std::pair<std::string, std::optional<std::string>>> changes_;
    size_t bytes_ = 0;
  };
  // `durable`: it is on the disk on return. After an error the database takes no more: it is to be opened again.
  virtual Result<void> write(const Batch& batch, bool durable) = 0;
};

}  // namespace verge::kv
