// AccessLog: one line a request, written by a thread of its own.
//
// Loops append lines to a buffer of a fixed size and go on; what does not fit is counted and lost. The thread takes the
// buffer whole and writes it with one write(2) a turn. reopen() makes it open the file again, for who moved it away.
//
// What clients send cannot make a line of its own: in the combined form quotes, backslashes, controls and all beyond
// ASCII are \xHH, in JSON they are escaped as JSON says.
//
// Threads: append() and reopen() from any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/error.h"

namespace verge::cache {

enum class AccessLogFormat : uint8_t { kCombined, kJson };

// One request, answered or given up. Views: good until the call returns.
struct AccessLogLine {
  WallTime time;  // when it came
  std::string_view client;
  std::string_view method;
  std::string_view host;
  std::string_view target;  // path and query, as sent
  std::string_view protocol;
  std::string_view referer;
  std::string_view user_agent;
  int status = 0;  // 0: the client went before its answer began
  uint64_t bytes = 0;
  Duration duration{0};
  std::string_view cache_status;
  Duration upstream{0};  // until the origin's head came; 0: none was asked
  bool complete = true;
};

void append_line(std::string& out, AccessLogFormat format, const AccessLogLine& line);

class AccessLog {
 public:
  static constexpr size_t kWaitingBytesMax = 4U << 20;

  // Error: cache.access-log.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path, AccessLogFormat format);
  // Writes what waits.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void append(const AccessLogLine& line);
  // Soon. Where it cannot be opened, the file that was open is written on.
  void reopen();

  [[nodiscard]] uint64_t lines() const { return lines_; }
  [[nodiscard]] uint64_t dropped() const { return dropped_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] AccessLogFormat format() const { return format_; }

 private:
  AccessLog(std::string path, AccessLogFormat format, int file);
  void run();
  void write_all(std::string_view bytes);

  const std::string path_;
  const AccessLogFormat format_;
  int file_;
  std::mutex mutex_;
  std::condition_variable woken_;
  std::string waiting_;
  bool reopening_ = false;
  bool stopping_ = false;
  std::atomic<uint64_t> lines_{0};
  std::atomic<uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace verge::cache
