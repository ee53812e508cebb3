// StaticFiles: files of a directory as answers, read by threads of its own, so that no disk holds up an event loop.
//
// A name is looked up beneath the directory and nowhere else: by openat2(2) with RESOLVE_BENEATH, by which the kernel
// refuses "..", absolute links and links that lead out, however the tree changes meanwhile; where a kernel has no
// openat2, name by name and without any link. The directory itself is opened for each request, so that a link to it
// may be changed to another version at any time.
//
// A small file is read whole; a large one in pieces, at the pace of its client, with at most kWindow of it in memory.
//
// Threads: all functions from any.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cache/body.h"
#include "cache/policy.h"

namespace verge::cache {

// An open file, closed with its last owner.
class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  const int descriptor_;
};

struct FileQuestion {
  StaticRoot root;
  std::string path;                       // plain; with or without a "/" before it
  std::vector<std::string_view> codings;  // of "br", "zstd", "gzip": those that the client takes, the best liked first
};

struct FileFound {
  enum class Kind : uint8_t { kFile, kDirectory, kNone, kFailed };
  Kind kind = Kind::kNone;  // kDirectory: the path of one, without the final slash
  std::string content_type;
  std::string_view coding;  // of a precompressed sibling; empty: none
  std::string entity_tag;
  int64_t modified_s = 0;  // since 1970
  uint64_t size = 0;
  std::shared_ptr<OpenFile> file;
  std::optional<Payload> whole;  // of a small one
};

// On the calling thread, which it may hold up. What cannot be opened for want of descriptors or permission is kFailed
// and kNone.
FileFound find_file(const FileQuestion& question);

class StaticFiles {
 public:
  static constexpr size_t kWholeMax = 256U << 10;
  static constexpr uint64_t kWindow = 1U << 20;
  static constexpr size_t kQuestionsMax = 4096;

  explicit StaticFiles(size_t threads = 2);
  ~StaticFiles();
  StaticFiles(const StaticFiles&) = delete;
  StaticFiles& operator=(const StaticFiles&) = delete;

  // Calls `told` on a thread of its own. False, and it is not called, when too many wait.
  bool look_up(FileQuestion question, std::function<void(FileFound)> told);
  // `size` bytes of the file from `first` on. It breaks off where the file turns out to be shorter.
  std::shared_ptr<Body> read(std::shared_ptr<OpenFile> file, uint64_t first, uint64_t size);

 private:
  class Stream;
  void run();
  void add(std::function<void()> job);

  std::mutex mutex_;
  std::condition_variable woken_;
  std::deque<std::function<void()>> jobs_;
  size_t questions_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace verge::cache
