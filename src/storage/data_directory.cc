#include "storage/data_directory.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/text.h"
#include "storage/file_system.h"

namespace verge::storage {

Result<void> DataDirectory::check_place(const std::string& path) {
  std::error_code unknown;
  for (std::filesystem::path at = std::filesystem::absolute(path); !at.empty(); at = at.parent_path()) {
    const std::filesystem::file_status status = std::filesystem::status(at, unknown);
    if (status.type() == std::filesystem::file_type::not_found && at != at.parent_path()) continue;
    if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
      return fail("node.data-dir", fmt::format("node.data_dir = {}: {} is no directory", path, at.string()),
                  "set node.data_dir to a directory; it is made if it is not there");
    }
    struct statfs system{};
    const bool keeps_nothing =
        ::statfs(at.c_str(), &system) == 0 &&
        (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC);
    if (keeps_nothing) {
      return fail("node.data-dir",
                  fmt::format("node.data_dir = {}: {} belongs to the kernel and keeps no files", path, at.string()),
                  "set node.data_dir to a place on a disk");
    }
    return {};
  }
  return {};
}

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  PosixFileSystem file_system;
  if (const Result<void> made = file_system.make_directory(path); !made) return std::unexpected(made.error());
  const std::string lock_path = path + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
  if (lock < 0) {
    return fail("storage.permission",
                fmt::format("cannot write to the data directory {}: {}", path, std::strerror(errno)),
                "give this user the directory (chown) or set node.data_dir to another");
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    char owner[16] = "";
    const ssize_t got = ::pread(lock, owner, sizeof(owner) - 1, 0);
    ::close(lock);
    return fail("storage.locked",
                fmt::format("the data directory {} is in use by process {}", path,
                            got > 0 ? trim({owner, static_cast<size_t>(got)}) : "?"),
                "stop that node or set node.data_dir to another directory");
  }
  const std::string self = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, self.data(), self.size(), 0) < 0) {
    // The number is only a courtesy to whoever finds the directory locked.
  }
  return DataDirectory(path, lock);
}

// A line of /proc/locks is "1: FLOCK ADVISORY WRITE 123 fe:00:4711 0 EOF"; who waits for a lock has "->" before FLOCK.
// Some file systems (btrfs, overlays) have other numbers there than stat() says: then the file's own word counts.
std::optional<pid_t> DataDirectory::holder_of(const std::string& path) {
  struct stat lock{};
  if (::lstat((path + "/lock").c_str(), &lock) != 0) return std::nullopt;
  pid_t noted = 0;
  std::ifstream(path + "/lock") >> noted;
  const std::string inode = fmt::format(":{}", lock.st_ino);
  const std::string place = fmt::format("{:02x}:{:02x}{}", major(lock.st_dev), minor(lock.st_dev), inode);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, obeyed, access, at;
    pid_t holder = 0;
    if (!(words >> number >> kind >> obeyed >> access >> holder >> at) || kind != "FLOCK") continue;
    if (at == place || (at.ends_with(inode) && holder == noted)) return holder;
  }
  return std::nullopt;
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

Result<NodeIdentity> DataDirectory::identity() {
  PosixFileSystem file_system(path_);
  return open_identity(file_system, path_ + "/identity");
}

}  // namespace verge::storage
