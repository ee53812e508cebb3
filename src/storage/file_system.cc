#include "storage/file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace verge::storage {
namespace {

constexpr int kReadsMax = 3;

std::unexpected<Error> failed(int problem, std::string_view doing, const std::string& path) {
  std::string what = fmt::format("cannot {} {}: {}", doing, path, std::strerror(problem));
  switch (problem) {
    case ENOSPC:
    case EDQUOT:
      return fail("storage.full", std::move(what),
                  "free space on that disk; a running node goes on by itself, one that did not start is started again");
    case EACCES:
    case EPERM:
    case EROFS:
      return fail("storage.permission", std::move(what), "make it readable and writable for this user");
    case ENOENT:
      return fail("storage.missing", std::move(what),
                  "check the path; a data directory that was removed under a running node needs a restart of the node");
    case EMFILE:
    case ENFILE:
      return fail("storage.io", std::move(what), "raise the limit on open files (LimitNOFILE=, ulimit -n)");
    default:
      return fail("storage.io", std::move(what), "check the disk (dmesg, smartctl)");
  }
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }

  Result<size_t> read_at(uint64_t offset, char* into, size_t size) override {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = ::pread(descriptor_, into + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<void> write_at(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failed(errno, "write", path_);
      offset += static_cast<uint64_t>(put);
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return {};
  }

  Result<void> sync() override {
    if (::fdatasync(descriptor_) != 0) return failed(errno, "sync", path_);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) return failed(errno, "inspect", path_);
    return static_cast<uint64_t>(status.st_size);
  }

  Result<void> allocate(uint64_t bytes) override {
    const int problem = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
    if (problem != 0) return failed(problem, "reserve space for", path_);
    return {};
  }

  Result<void> truncate(uint64_t bytes) override {
    if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) return failed(errno, "truncate", path_);
    return {};
  }

 private:
  const int descriptor_;
  const std::string path_;
};

std::unexpected<Error> foreign(const std::string& path, const struct stat& status) {
  const bool is_link = S_ISLNK(status.st_mode);
  const std::string_view kind = is_link                   ? "a symbolic link"
                                : S_ISDIR(status.st_mode) ? "a directory"
                                : S_ISREG(status.st_mode) ? "a file"
                                                          : "neither a file nor a directory";
  return fail("storage.foreign", fmt::format("{} is {}, which the node did not make", path, kind),
              is_link ? "links in the data directory are not followed: mount the place there (mount --bind), or set "
                        "node.data_dir to where the data is"
                      : "move it elsewhere");
}

}  // namespace

// One failure to read says nothing of the disk.
Result<size_t> File::read_patiently(uint64_t offset, char* into, size_t size) {
  Result<size_t> got = read_at(offset, into, size);
  for (int again = 1; again < kReadsMax && !got && got.error().code == "storage.io"; ++again) {
    got = read_at(offset, into, size);
  }
  return got;
}

Result<size_t> File::salvage_at(uint64_t offset, char* into, size_t size) {
  Result<size_t> got = read_patiently(offset, into, size);
  if (got || got.error().code != "storage.io") return got;
  const Result<uint64_t> bytes = this->size();
  if (!bytes) return std::unexpected(bytes.error());
  const uint64_t end = std::min(offset + size, *bytes);
  uint64_t at = offset;
  while (at < end) {
    const uint64_t next = std::min((at / kSectorBytes + 1) * kSectorBytes, end);
    got = read_patiently(at, into + (at - offset), next - at);
    if (!got && got.error().code != "storage.io") return got;
    if (!got) std::memset(into + (at - offset), 0xFF, next - at);
    const size_t read = got.value_or(next - at);
    at += read;
    if (at < next) break;  // it has become shorter
  }
  return at > offset ? at - offset : 0;
}

struct PosixFileSystem::Place {
  // `directory`: -1 for the path as it is.
  Place(int directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  Place(Place&& other) noexcept : directory_(std::exchange(other.directory_, -1)), name_(std::move(other.name_)) {}
  Place& operator=(Place&&) = delete;
  ~Place() {
    if (directory_ >= 0) ::close(directory_);
  }

  [[nodiscard]] int directory() const { return directory_ < 0 ? AT_FDCWD : directory_; }
  [[nodiscard]] const char* name() const { return name_.c_str(); }
  [[nodiscard]] int open(int flags) const {
    return ::openat(directory(), name(), flags | O_CLOEXEC | (directory_ < 0 ? 0 : O_NOFOLLOW), 0640);
  }
  // After an open() that failed: where something else is in the way, says so.
  [[nodiscard]] std::unexpected<Error> failed_to(std::string_view doing, const std::string& path) const {
    const int problem = errno;
    struct stat status{};
    const bool may_be_foreign = problem == ELOOP || problem == ENOTDIR || problem == EISDIR || problem == ENXIO;
    if (may_be_foreign && ::fstatat(directory(), name(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      return foreign(path, status);
    }
    return failed(problem, doing, path);
  }

 private:
  int directory_;
  std::string name_;
};

std::optional<std::string_view> PosixFileSystem::below_root(const std::string& path) const {
  if (root_.empty() || !path.starts_with(root_)) return std::nullopt;
  std::string_view below = std::string_view(path).substr(root_.size());
  if (!root_.ends_with('/') && !below.starts_with('/')) return std::nullopt;
  while (below.starts_with('/')) below.remove_prefix(1);
  while (below.ends_with('/')) below.remove_suffix(1);
  return below.empty() ? std::nullopt : std::optional(below);
}

Result<PosixFileSystem::Place> PosixFileSystem::place_of(const std::string& path) const {
  std::optional<std::string_view> below = below_root(path);
  if (!below) return Place(-1, path);
  Place at(-1, root_);
  int directory = at.open(O_PATH | O_DIRECTORY);
  if (directory < 0) return failed(errno, "open", root_);
  while (true) {
    const size_t end = below->find('/');
    Place next(directory, std::string(below->substr(0, end)));
    if (end == std::string_view::npos) return next;
    directory = next.open(O_PATH | O_DIRECTORY);
    if (directory < 0) return next.failed_to("open", path);
    below->remove_prefix(end + 1);
  }
}

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  const Result<Place> place = place_of(path);
  if (!place) return std::unexpected(place.error());
  const int flags = mode == OpenMode::kRead ? O_RDONLY : mode == OpenMode::kWrite ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC;
  // Not blocking: a pipe would wait for its other end.
  const int descriptor = place->open(flags | O_NONBLOCK);
  if (descriptor < 0) return place->failed_to(mode == OpenMode::kCreate ? "create" : "open", path);
  auto file = std::make_unique<PosixFile>(descriptor, path);
  struct stat status{};
  if (::fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode)) return foreign(path, status);
  return file;
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  const Result<Place> place = place_of(directory);
  if (!place) return std::unexpected(place.error());
  const int descriptor = place->open(O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return place->failed_to("list", directory);
  DIR* entries = ::fdopendir(descriptor);
  if (entries == nullptr) {
    const int problem = errno;
    ::close(descriptor);
    return failed(problem, "list", directory);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int problem = errno;
  ::closedir(entries);
  if (problem != 0) return failed(problem, "list", directory);
  return names;
}

Result<void> PosixFileSystem::make_directory(const std::string& path) {
  if (const std::optional<std::string_view> below = below_root(path)) return make_below_root(path, *below);
  std::error_code problem;
  std::vector<std::filesystem::path> missing;  // the innermost first
  for (std::filesystem::path at = path; !at.empty() && !std::filesystem::exists(at, problem); at = at.parent_path()) {
    missing.push_back(at);
    if (at == at.parent_path()) break;
  }
  std::filesystem::create_directories(path, problem);
  if (problem) return failed(problem.value(), "create the directory", path);
  // Each one's name is in its parent.
  for (const std::filesystem::path& made : missing) {
    const std::filesystem::path parent = made.parent_path();
    const Result<void> synced = sync_directory(parent.empty() ? "." : parent.string());
    // One that may be passed and not be read belongs to somebody who made it long ago.
    if (!synced && synced.error().code != "storage.permission") return synced;
  }
  return {};
}

Result<void> PosixFileSystem::make_below_root(const std::string& path, std::string_view below) {
  if (const Result<void> made = make_directory(root_); !made) return made;
  std::string parent = root_;
  while (!below.empty()) {
    const size_t end = std::min(below.find('/'), below.size());
    const std::string at = fmt::format("{}/{}", parent, below.substr(0, end));
    below.remove_prefix(std::min(end + 1, below.size()));
    const Result<Place> place = place_of(at);
    if (!place) return std::unexpected(place.error());
    if (::mkdirat(place->directory(), place->name(), 0777) == 0) {
      if (const Result<void> synced = sync_directory(parent); !synced) return synced;
    } else if (errno != EEXIST) {
      return failed(errno, "create the directory", path);
    }
    struct stat status{};
    if (::fstatat(place->directory(), place->name(), &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode)) {
      return foreign(at, status);
    }
    parent = at;
  }
  return {};
}

Result<void> PosixFileSystem::rename(const std::string& from, const std::string& to) {
  const Result<Place> source = place_of(from);
  if (!source) return std::unexpected(source.error());
  const Result<Place> target = place_of(to);
  if (!target) return std::unexpected(target.error());
  if (::renameat(source->directory(), source->name(), target->directory(), target->name()) != 0) {
    return failed(errno, "rename", from);
  }
  return {};
}

Result<void> PosixFileSystem::remove(const std::string& path) {
  const Result<Place> place = place_of(path);
  if (!place) return std::unexpected(place.error());
  if (::unlinkat(place->directory(), place->name(), 0) != 0) return place->failed_to("remove", path);
  return {};
}

Result<void> PosixFileSystem::sync_directory(const std::string& path) {
  const Result<Place> place = place_of(path);
  if (!place) return std::unexpected(place.error());
  const int descriptor = place->open(O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return place->failed_to("open", path);
  const int result = ::fsync(descriptor);
  const int problem = errno;
  ::close(descriptor);
  if (result != 0) return failed(problem, "sync", path);
  return {};
}

Result<std::string> FileSystem::set_aside(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash);
  const Result<std::vector<std::string>> names = list(directory);
  if (!names) return std::unexpected(names.error());
  std::string to = path + ".damaged";
  for (int number = 2; std::ranges::find(*names, to.substr(slash + 1)) != names->end(); ++number) {
    to = fmt::format("{}.damaged-{}", path, number);
  }
  if (const Result<void> moved = rename(path, to); !moved) return std::unexpected(moved.error());
  if (const Result<void> synced = sync_directory(directory); !synced) return std::unexpected(synced.error());
  return to;
}

Result<std::string> FileSystem::read_file(const std::string& path, size_t bytes_max) {
  Result<std::unique_ptr<File>> file = open(path, OpenMode::kRead);
  if (!file) return std::unexpected(file.error());
  const Result<uint64_t> size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  if (*size > bytes_max) return fail("storage.io", fmt::format("{} is larger than {} bytes", path, bytes_max));
  std::string content(*size, '\0');
  const Result<size_t> got = (*file)->read_at(0, content.data(), content.size());
  if (!got) return std::unexpected(got.error());
  content.resize(*got);
  return content;
}

Result<void> FileSystem::replace_file(const std::string& path, std::string_view content) {
  const std::string fresh = path + ".new";
  Result<std::unique_ptr<File>> file = open(fresh, OpenMode::kCreate);
  if (!file && file.error().code == "storage.foreign" && set_aside(fresh)) file = open(fresh, OpenMode::kCreate);
  if (!file) return std::unexpected(file.error());
  Result<void> written = (*file)->write_at(0, content);
  if (written) written = (*file)->sync();
  file->reset();
  if (!written) {
    (void)remove(fresh);  // on a full disk its space is wanted
    return written;
  }
  if (const Result<void> renamed = rename(fresh, path); !renamed) return renamed;
  return sync_directory(path.substr(0, path.rfind('/')));
}

}  // namespace verge::storage
