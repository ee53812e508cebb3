// Logging: for people on a terminal, one JSON object a line otherwise, always on stderr (stdout is data).
//
// log_info("mqtt", "listening on {}", address): the first word is the part of Verge that speaks. Lines are written by
// the calling thread under a lock; nothing on the event path logs at info or above per message.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace verge {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kAutomatic, kText, kJson };

// Call once at start; without it, text or JSON is chosen by whether stderr is a terminal, from kInfo up.
void configure_log(LogLevel from, LogFormat format);
bool log_enabled(LogLevel level);
void write_log(LogLevel level, std::string_view part, std::string_view message);

template <class... Args>
void log_at(LogLevel level, std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) write_log(level, part, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kDebug, part, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kInfo, part, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kWarning, part, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kError, part, format, std::forward<Args>(args)...);
}

}  // namespace verge
