// SimulatedDisk: a file system in memory that behaves as badly as a real one may. What was not synced can be lost, kept
// or torn by a crash, in any mixture; directory entries too; any operation can be made to fail. A seed replays a run.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "storage/file_system.h"

namespace verge::tests {

class SimulatedDisk final : public storage::FileSystem {
 public:
  explicit SimulatedDisk(uint64_t seed) : random_(seed) {}

  // Power is cut: unsynced writes survive in part, by sector; unsynced directory changes survive or not. Files that
  // are open stay usable by nobody.
  void crash();
  // The `n`th operation from now (1: the next) fails, and if `sticky` all after it, with this code.
  void fail_operation(uint64_t n, std::string_view code, bool sticky) {
    fail_at_ = operations_ + n;
    fail_code_ = code;
    fail_sticky_ = sticky;
  }
  // The `n`th read from now fails with storage.io, once.
  void fail_read(uint64_t n) { fail_read_at_ = reads_ + n; }
  // The sector with that byte of the file cannot be read any more, until it is written.
  void spoil_sector(const std::string& path, uint64_t offset);
  // The `n`th directory made from now on fails with storage.full, once.
  void fail_make_directory(uint64_t n) { fail_directory_ = n; }
  // Whether there is no space left for files to grow into.
  void fill(bool full) { full_ = full; }
  void heal() {
    fail_at_ = 0;
    fail_directory_ = 0;
    fail_read_at_ = 0;
  }
  [[nodiscard]] uint64_t operations() const { return operations_; }
  [[nodiscard]] uint64_t reads() const { return reads_; }
  [[nodiscard]] uint64_t read_bytes() const { return read_bytes_; }
  // What a file holds, as a reader sees it; and puts something else there, durably.
  [[nodiscard]] std::string content(const std::string& path) const { return entries_.at(path)->now; }
  void overwrite(const std::string& path, std::string content);
  // A copy of all that a reader sees, and the disk as such a copy says, durably.
  using Copy = std::map<std::string, std::string>;
  [[nodiscard]] Copy copy() const;
  void put_back(const Copy& copy);
  // Flips one bit of a file's content.
  void flip_bit(const std::string& path, uint64_t offset);
  [[nodiscard]] std::vector<std::string> paths() const;

  Result<std::unique_ptr<storage::File>> open(const std::string& path, storage::OpenMode mode) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;

 private:
  friend class SimulatedFile;
  struct Write {
    uint64_t offset;
    std::string bytes;
  };
  struct Content {
    std::string now;              // as a reader sees it
    std::string synced;           // as the platter has it
    std::vector<Write> unsynced;  // between the two, in order
    std::set<uint64_t> spoiled;   // sectors
    bool size_changed = false;
  };
  using Entries = std::map<std::string, std::shared_ptr<Content>>;

  // Counts an operation; an error if it is to fail.
  Result<void> operate(const std::string& path);

  Random random_;
  Entries entries_;         // as a reader sees them
  Entries synced_entries_;  // as a crash leaves them
  uint64_t operations_ = 0;
  uint64_t fail_at_ = 0;
  uint64_t reads_ = 0;
  uint64_t read_bytes_ = 0;
  uint64_t fail_read_at_ = 0;
  uint64_t fail_directory_ = 0;  // so many more succeed; 0: all
  std::string_view fail_code_;
  bool fail_sticky_ = false;
  bool full_ = false;
};

}  // namespace verge::tests
