// CodeCacheFiles: what V8 compiled of workers, kept in a directory over restarts (docs/formats/code-cache.md, "On
// disk").
//
// A file is named by its owner and the whole source, so that nobody is given what another's process made: what is in it
// was said by an isolate process, and is run by V8 without a check. One that is damaged reads as none. Files are
// written one after the other by a thread of its own; when more than kWaitingMax wait, further ones are dropped.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/error.h"
#include "isolates/worker.h"
#include "storage/file_system.h"

namespace verge::isolates {

class CodeCacheFiles {
 public:
  static constexpr uint64_t kBytesMax = 256U << 20;  // in the directory: the oldest go when it is opened
  static constexpr size_t kWaitingMax = 64;

  // Makes the directory. Errors: storage.…
  static Result<std::unique_ptr<CodeCacheFiles>> open(std::string directory);
  // What waits is written.
  ~CodeCacheFiles();
  CodeCacheFiles(const CodeCacheFiles&) = delete;
  CodeCacheFiles& operator=(const CodeCacheFiles&) = delete;

  // What was kept of that code; empty: nothing. Reads a file: not for loops.
  [[nodiscard]] std::string find(const WorkerCode& code);
  // Any thread.
  void keep(const WorkerCode& code, std::shared_ptr<const std::string> compiled);

  // Where the code's file is.
  [[nodiscard]] std::string path_of(const WorkerCode& code) const;

 private:
  explicit CodeCacheFiles(std::string directory);
  void prune();
  void write();

  const std::string directory_;
  storage::PosixFileSystem files_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::pair<std::string, std::shared_ptr<const std::string>>> waiting_;  // path, content
  bool ends_ = false;
  std::thread writer_;
};

}  // namespace verge::isolates
