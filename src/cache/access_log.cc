#include "cache/access_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

namespace verge::cache {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

void append_escaped(std::string& out, std::string_view text) {
  if (text.empty()) return out.push_back('-');
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned char>(c));
    }
  }
}

// 10/Oct/2000:13:55:36 +0000
void append_time(std::string& out, WallTime time) {
  const std::time_t seconds = time.microseconds / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000", parts.tm_mday,
                 kMonths[static_cast<size_t>(parts.tm_mon)], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                 parts.tm_sec);
}

void append_combined(std::string& out, const AccessLogLine& line) {
  append_escaped(out, line.client);
  out.append(" - - [");
  append_time(out, line.time);
  out.append("] \"");
  append_escaped(out, line.method);
  out.push_back(' ');
  append_escaped(out, line.target);
  out.append(" ").append(line.protocol).append("\" ");
  fmt::format_to(std::back_inserter(out), "{} {} \"", line.status, line.bytes);
  append_escaped(out, line.referer);
  out.append("\" \"");
  append_escaped(out, line.user_agent);
  out.append("\"\n");
}

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

void append_json(std::string& out, const AccessLogLine& line) {
  const auto member = [&](std::string_view name, std::string_view text) {
    out.append(",\"").append(name).append("\":");
    append_json_string(out, text);
  };
  out.append("{\"time\":\"").append(format_utc(line.time)).append("\"");
  member("client", line.client);
  member("method", line.method);
  member("host", line.host);
  member("path", line.target);
  member("protocol", line.protocol);
  fmt::format_to(std::back_inserter(out), R"(,"status":{},"bytes":{},"duration_ms":{:.3f})", line.status, line.bytes,
                 milliseconds(line.duration));
  member("cache", line.cache_status);
  if (line.upstream.count() > 0) {
    fmt::format_to(std::back_inserter(out), R"(,"upstream_ms":{:.3f})", milliseconds(line.upstream));
  } else {
    out.append(R"(,"upstream_ms":null)");
  }
  fmt::format_to(std::back_inserter(out), R"(,"complete":{})", line.complete);
  member("referer", line.referer);
  member("user_agent", line.user_agent);
  out.append("}\n");
}

}  // namespace

void append_line(std::string& out, AccessLogFormat format, const AccessLogLine& line) {
  return format == AccessLogFormat::kJson ? append_json(out, line) : append_combined(out, line);
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path, AccessLogFormat format) {
  const int file = open_file(path);
  if (file < 0) {
    return fail("cache.access-log", fmt::format("the access log {} cannot be opened: {}", path, std::strerror(errno)),
                "give a path that the node may write to (access_log.file)");
  }
  return std::unique_ptr<AccessLog>(new AccessLog(path, format, file));
}

AccessLog::AccessLog(std::string path, AccessLogFormat format, int file)
    : path_(std::move(path)), format_(format), file_(file), thread_([this] { run(); }) {}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_one();
  thread_.join();
  ::close(file_);
}

void AccessLog::append(const AccessLogLine& line) {
  thread_local std::string text;
  text.clear();
  append_line(text, format_, line);
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + text.size() > kWaitingBytesMax) {
      ++dropped_;
      return;
    }
    is_first = waiting_.empty();
    waiting_.append(text);
  }
  ++lines_;
  if (is_first) woken_.notify_one();
}

void AccessLog::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopening_ = true;
  }
  woken_.notify_one();
}

void AccessLog::run() {
  std::string writing;
  while (true) {
    bool reopens = false, stops = false;
    {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return stopping_ || reopening_ || !waiting_.empty(); });
      std::swap(writing, waiting_);
      reopens = std::exchange(reopening_, false);
      stops = stopping_;
    }
    // What came before belongs to the file from before.
    write_all(writing);
    writing.clear();
    if (reopens) {
      const int file = open_file(path_);
      if (file < 0) {
        log_error("cache", "the access log {} cannot be opened again, and the file from before is written on: {}",
                  path_, std::strerror(errno));
      } else {
        ::close(std::exchange(file_, file));
      }
    }
    if (stops) return;
  }
}

void AccessLog::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      dropped_ += static_cast<uint64_t>(std::ranges::count(bytes, '\n'));
      return log_error("cache", "the access log {} cannot be written: {}", path_, std::strerror(errno));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace verge::cache
