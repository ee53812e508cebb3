#include "storage/file_system.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace verge::storage {
namespace {

std::unexpected<Error> failed(int problem, std::string_view doing, const std::string& path) {
  std::string what = fmt::format("cannot {} {}: {}", doing, path, std::strerror(problem));
  switch (problem) {
    case ENOSPC:
    case EDQUOT:
      return fail("storage.full", std::move(what), "free space on that disk; work goes on by itself");
    case EACCES:
    case EPERM:
    case EROFS:
      return fail("storage.permission", std::move(what), "make it readable and writable for this user");
    case ENOENT:
      return fail("storage.missing", std::move(what));
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

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  const int flags = mode == OpenMode::kRead ? O_RDONLY : mode == OpenMode::kWrite ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC;
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
  if (descriptor < 0) return failed(errno, mode == OpenMode::kCreate ? "create" : "open", path);
  return std::make_unique<PosixFile>(descriptor, path);
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  std::error_code problem;
  std::vector<std::string> names;
  for (auto entry = std::filesystem::directory_iterator(directory, problem);
       !problem && entry != std::filesystem::end(entry); entry.increment(problem)) {
    names.push_back(entry->path().filename().string());
  }
  if (problem) return failed(problem.value(), "list", directory);
  return names;
}

Result<void> PosixFileSystem::make_directory(const std::string& path) {
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

Result<void> PosixFileSystem::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed(errno, "rename", from);
  return {};
}

Result<void> PosixFileSystem::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return failed(errno, "remove", path);
  return {};
}

Result<void> PosixFileSystem::sync_directory(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return failed(errno, "open", path);
  const int result = ::fsync(descriptor);
  const int problem = errno;
  ::close(descriptor);
  if (result != 0) return failed(problem, "sync", path);
  return {};
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
  if (!file) return std::unexpected(file.error());
  if (const Result<void> written = (*file)->write_at(0, content); !written) return written;
  if (const Result<void> synced = (*file)->sync(); !synced) return synced;
  file->reset();
  if (const Result<void> renamed = rename(fresh, path); !renamed) return renamed;
  return sync_directory(path.substr(0, path.rfind('/')));
}

}  // namespace verge::storage
