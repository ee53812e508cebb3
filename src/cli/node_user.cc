#include "cli/node_user.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
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

std::optional<std::vector<gid_t>> own_groups() {
  const int count = getgroups(0, nullptr);
  if (count < 0) return std::nullopt;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (count > 0 && getgroups(count, groups.data()) != count) return std::nullopt;
  return groups;
}

bool is_other(const struct stat& file, uid_t user, const std::vector<gid_t>& groups) {
  return file.st_uid != user && std::ranges::find(groups, file.st_gid) == groups.end();
}

bool has(mode_t bits, int access) { return (bits & static_cast<mode_t>(access)) == static_cast<mode_t>(access); }

}  // namespace

NodeUser NodeUser::of(const std::string& data_directory) {
  NodeUser user(geteuid());
  struct stat status{};
  const bool is_there = stat(data_directory.c_str(), &status) == 0;
  if (user.id_ != 0 && is_there) user.owner_ = status.st_uid;
  if (user.id_ != 0 || !is_there || status.st_uid == 0) {
    user.groups_ = own_groups().value_or(std::vector<gid_t>());
    user.groups_.push_back(getegid());
    return user;
  }
  user.id_ = user.owner_ = status.st_uid;
  user.groups_ = groups_of(status.st_uid, status.st_gid);
  return user;
}

std::string NodeUser::name() const { return name_of_user(id_); }
std::string NodeUser::owner() const { return name_of_user(owner_); }

bool NodeUser::may(const std::string& path, int access) const {
  if (id_ == geteuid()) return faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0;
  if (const std::optional<bool> may = tried(path, access)) return *may;
  if (may_without_others(path, access)) return true;
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && is_other(status, id_, groups_) && has(status.st_mode, access);
}

bool NodeUser::may_without_others(const std::string& path, int access) const {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return false;
  if (id_ == 0) return true;
  return !is_other(status, id_, groups_) && has(status.st_mode >> (status.st_uid == id_ ? 6U : 3U), access);
}

std::string NodeUser::barrier_to(const std::string& path) const {
  std::string barrier;
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  for (std::filesystem::path at = whole.parent_path(); !may(at, X_OK); at = at.parent_path()) {
    barrier = at;
    if (at == at.parent_path()) break;
  }
  return barrier;
}

// setfsuid(2) and the system calls beside it are of this thread alone; the effective user stays root, who comes back.
std::optional<bool> NodeUser::tried(const std::string& path, int access) const {
  const std::optional<std::vector<gid_t>> own = own_groups();
  if (!own || syscall(SYS_setgroups, groups_.size(), groups_.data()) != 0) return std::nullopt;
  const auto group = static_cast<gid_t>(setfsgid(groups_.front()));
  const auto user = static_cast<uid_t>(setfsuid(id_));
  const bool is_user = static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))) == id_;
  const long answer = is_user ? syscall(SYS_faccessat2, AT_FDCWD, path.c_str(), access, AT_EACCESS) : -1;
  const int problem = is_user && answer != 0 ? errno : is_user ? 0 : ENOSYS;
  setfsuid(user);
  setfsgid(group);
  syscall(SYS_setgroups, own->size(), own->data());
  if (problem == ENOSYS || problem == EPERM) return std::nullopt;
  return answer == 0;
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
