#include "isolates/compatibility_date.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::isolates {
namespace {

constexpr size_t kLookedAtBytes = 1024;
constexpr std::string_view kKey = "compatibility_date";

std::string_view without_spaces(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r";
  const size_t begin = std::min(text.find_first_not_of(kSpaces), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kSpaces) + 1);
}

// "key = value" of a comment's line; empty where the line is none, or of another key.
std::string_view value_of_line(std::string_view line) {
  line = without_spaces(line);
  if (!line.starts_with("//") && !line.starts_with("*")) return {};
  line = without_spaces(
      line.substr(line.find_first_not_of("/*") == std::string_view::npos ? line.size() : line.find_first_not_of("/*")));
  if (!line.starts_with(kKey)) return {};
  line = without_spaces(line.substr(kKey.size()));
  if (!line.starts_with('=') && !line.starts_with(':')) return {};
  return without_spaces(line.substr(1));
}

}  // namespace

bool is_compatibility_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto number = [&](size_t begin, size_t size) {
    int value = 0;
    for (const char c : text.substr(begin, size)) value = c < '0' || c > '9' ? -100'000 : value * 10 + (c - '0');
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 2000 || month < 1 || day < 1) return false;
  return std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day)))
      .ok();
}

Result<std::string> stated_compatibility_date(std::string_view source) {
  std::string_view rest = source.substr(0, kLookedAtBytes);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::string_view value = value_of_line(line);
    if (value.empty()) continue;
    const bool is_quoted = value.size() >= 2 && (value.front() == '"' || value.front() == '\'');
    if (is_quoted && value.find(value.front(), 1) != std::string_view::npos) {
      value = value.substr(1, value.find(value.front(), 1) - 1);
    }
    if (!is_compatibility_date(value)) {
      return fail("workers.compatibility-date",
                  fmt::format("compatibility_date is {} in the worker's file, which is no day", json_string(value)),
                  "write it as // compatibility_date = \"2026-11-30\"");
    }
    return std::string(value);
  }
  return std::string();
}

}  // namespace verge::isolates
