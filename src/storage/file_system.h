// FileSystem: the few operations that durability rests on, as a seam. Production runs on PosixFileSystem; tests run the
// same code over a simulated disk that loses, tears and refuses.
//
// Errors have the codes storage.full (no space or quota), storage.permission, storage.missing, storage.foreign (where a
// file or directory was expected is something else), storage.io (all else) and name the path. Paths are plain strings
// with '/'.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace verge::storage {

class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes; fewer only at the end of the file.
  virtual Result<size_t> read_at(uint64_t offset, char* into, size_t size) = 0;
  // Writes all or fails; after a failure any part may have been written.
  virtual Result<void> write_at(uint64_t offset, std::string_view bytes) = 0;
  // Returns when the content written so far, and what is needed to read it back, is on the disk. After a failure
  // nothing is known of what was written since the last success.
  virtual Result<void> sync() = 0;
  virtual Result<uint64_t> size() = 0;
  // Reserves space so that writes below `bytes` do not run out of it. The file's size becomes `bytes`.
  virtual Result<void> allocate(uint64_t bytes) = 0;
  virtual Result<void> truncate(uint64_t bytes) = 0;

  // As read_at(), for files that are read for what is left of them: where a sector cannot be read (storage.io) however
  // often it is asked for, bytes of 0xFF stand in its place, and the others are as they are.
  Result<size_t> salvage_at(uint64_t offset, char* into, size_t size);
  static constexpr size_t kSectorBytes = 512;

 private:
  Result<size_t> read_patiently(uint64_t offset, char* into, size_t size);
};

enum class OpenMode { kRead, kWrite, kCreate };  // kCreate: for reading and writing, made empty

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  // Names, not paths, in no order.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // Also its parents, durably; it may exist.
  virtual Result<void> make_directory(const std::string& path) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  // Makes creations, renames and removals in it durable.
  virtual Result<void> sync_directory(const std::string& path) = 0;

  // Moves what is there, whatever it is, out of the way and deletes nothing: to the path with ".damaged", or a number
  // after that where there is such a thing already. Durable on return. The path that it has now.
  Result<std::string> set_aside(const std::string& path);
  // The whole content; at most `bytes_max`.
  Result<std::string> read_file(const std::string& path, size_t bytes_max);
  // Replaces the file's content such that a reader finds the old or the new one, whatever happens meanwhile; durable
  // on return. Uses `path`.new on the way; what is there and is no file is set aside.
  Result<void> replace_file(const std::string& path, std::string_view content);
};

// What was found in the way and moved, or left alone where `now` is empty.
struct SetAside {
  std::string path;
  std::string now;
  std::string why;
};

// Symbolic links are followed up to and including `root`, and not below it: whoever can put one there could have the
// process write to any place that it may. Without a root they are followed.
class PosixFileSystem final : public FileSystem {
 public:
  explicit PosixFileSystem(std::string root = {}) : root_(std::move(root)) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;

 private:
  // A name and the directory that it is in, as openat(2) takes them.
  struct Place;
  // The part of the path that is below the root; nothing when it is not.
  [[nodiscard]] std::optional<std::string_view> below_root(const std::string& path) const;
  [[nodiscard]] Result<Place> place_of(const std::string& path) const;
  Result<void> make_below_root(const std::string& path, std::string_view below);

  const std::string root_;
};

}  // namespace verge::storage
