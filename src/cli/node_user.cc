#include "cli/node_user.h"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace verge::cli {
namespace {

std::vector<gid_t> groups_of(uid_t user, gid_t first) {
  const passwd* const entry = getpwuid(user);
  if (entry == nullptr) return {first};
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (getgrouplist(entry->pw_name, entry->pw_gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    if (getgrouplist(entry->pw_name, entry->pw_gid, groups.data(), &count) < 0) return {entry->pw_gid};
  }
  groups.resize(static_cast<size_t>(count));
  return groups;
}

}  // namespace

NodeUser NodeUser::of(const std::string& data_directory) {
  NodeUser user(geteuid());
  struct stat status{};
  if (user.id_ != 0 || stat(data_directory.c_str(), &status) != 0 || status.st_uid == 0) return user;
  user.id_ = status.st_uid;
  user.groups_ = groups_of(status.st_uid, status.st_gid);
  return user;
}

std::string NodeUser::name() const { return name_of_user(id_); }

bool NodeUser::may(const std::string& path, int access) const {
  if (id_ == geteuid()) return faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0;
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return false;
  const bool is_in_group = std::ranges::find(groups_, status.st_gid) != groups_.end();
  const unsigned shift = status.st_uid == id_ ? 6 : is_in_group ? 3 : 0;
  return (status.st_mode >> shift & static_cast<unsigned>(access)) == static_cast<unsigned>(access);
}

std::string name_of_user(uid_t id) {
  const passwd* const entry = getpwuid(id);
  return entry != nullptr ? entry->pw_name : fmt::format("{}", id);
}

std::string name_of_group(gid_t id) {
  const group* const entry = getgrgid(id);
  return entry != nullptr ? entry->gr_name : fmt::format("{}", id);
}

}  // namespace verge::cli
