// NodeUser: the user that a node runs as, as far as it is known without the node: for root, who owns the data
// directory; else who asks. What root may do says nothing of what the node may.
//
// Not safe beside other threads that look at files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

namespace verge::cli {

class NodeUser {
 public:
  static NodeUser of(const std::string& data_directory);

  [[nodiscard]] uid_t id() const { return id_; }
  // Or the number, where there is none.
  [[nodiscard]] std::string name() const;
  // Who asks is neither root nor who owns the data directory: what the node's user may is not known, but who that is.
  [[nodiscard]] bool is_bystander() const { return owner_ != id_; }
  [[nodiscard]] std::string owner() const;
  // Root, whose data directory is root's, or not there yet: the node may run as anybody.
  [[nodiscard]] bool is_unknown() const { return id_ == 0; }
  // Whether the user may do all of `access` (R_OK, W_OK, X_OK) with what is there, by trying it as that user: access
  // lists and the directories above count. Where a kernel or a container does not let root do so: as the mode says.
  [[nodiscard]] bool may(const std::string& path, int access) const;
  // Whether it would be so without the rights that everybody has, as the mode says.
  [[nodiscard]] bool may_without_others(const std::string& path, int access) const;
  // The first directory above `path` that the user may not enter; empty: none.
  [[nodiscard]] std::string barrier_to(const std::string& path) const;

 private:
  [[nodiscard]] std::optional<bool> tried(const std::string& path, int access) const;

  explicit NodeUser(uid_t id) : id_(id), owner_(id) {}
  uid_t id_;
  uid_t owner_;                // of the data directory, where that is there
  std::vector<gid_t> groups_;  // of another than who asks, the first one first
};

std::string name_of_user(uid_t id);
std::string name_of_group(gid_t id);

}  // namespace verge::cli
