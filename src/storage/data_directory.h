// DataDirectory: a node's place on the disk, owned by one process at a time (a lock file says which).
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "base/error.h"
#include "storage/node_identity.h"

namespace verge::storage {

class DataDirectory {
 public:
  // Whether it can be a directory there that keeps files, of what opening it would only call missing, or in the way.
  // Error: node.data-dir.
  static Result<void> check_place(const std::string& path);
  // Creates it if need be and locks it. Errors: storage.locked (names the owner's process id), storage.permission.
  static Result<DataDirectory> open(const std::string& path);
  // Who holds the lock, as the kernel says; it is not taken for that. Nothing: nobody does, or a process that this one
  // cannot see (another machine, a container).
  static std::optional<pid_t> holder_of(const std::string& path);
  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&&) = delete;
  ~DataDirectory();

  [[nodiscard]] const std::string& path() const { return path_; }
  // Who the node is: generated on the first call and kept under identity/.
  Result<NodeIdentity> identity();

 private:
  DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

}  // namespace verge::storage
