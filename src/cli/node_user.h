// NodeUser: the user that a node runs as, as far as it is known without the node: for root, who owns the data
// directory; else who asks. What root may do says nothing of what the node may.
#pragma once

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
  // Whether the user may do all of `access` (R_OK, W_OK, X_OK) with what is there.
  // Of another user than who asks, as the mode says: access lists are not looked at.
  [[nodiscard]] bool may(const std::string& path, int access) const;

 private:
  explicit NodeUser(uid_t id) : id_(id) {}
  uid_t id_;
  std::vector<gid_t> groups_;  // of another than who asks
};

std::string name_of_user(uid_t id);
std::string name_of_group(gid_t id);

}  // namespace verge::cli
