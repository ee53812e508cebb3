#include "cli/top_figures.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::cli {

using simdjson::dom::element;

std::string text_of(const element& from, std::string_view name) {
  std::string_view text;
  return from[name].get(text) == simdjson::SUCCESS ? printable(text) : std::string();
}

std::optional<double> number_of(const element& from, std::string_view name) {
  double number = 0;
  if (from[name].get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

bool flag_of(const element& from, std::string_view name, bool usual) {
  bool flag = usual;
  return from[name].get(flag) == simdjson::SUCCESS ? flag : usual;
}

std::string shown(const element& from, std::string_view name, Show show) {
  const std::optional<double> number = number_of(from, name);
  return number ? show(*number) : "-";
}

std::string plain(double value) {
  return fmt::format("{:.{}f}", value, value >= 10 || value == std::floor(value) ? 0 : 2);
}
std::string a_second(double value) { return plain(value) + "/s"; }
std::string percent(double value) { return fmt::format("{:.1f} %", value * 100); }

std::string bytes(double value) {
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string bytes_a_second(double value) { return bytes(value) + "/s"; }

std::string of_seconds(double value) {
  if (!(value >= 0 && value < 1e15)) return "-";
  const auto seconds = static_cast<int64_t>(value);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 86'400) return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{} d {} h", seconds / 86'400, seconds % 86'400 / 3600);
}

std::string of_milliseconds(double value) {
  if (value >= 60'000) return of_seconds(value / 1000);
  if (value >= 1000) return fmt::format("{:.1f} s", value / 1000);
  return value >= 1 || value == 0 ? fmt::format("{:.1f} ms", value) : fmt::format("{:.0f} us", value * 1000);
}

std::string of_microseconds(double value) { return of_milliseconds(value / 1000); }

}  // namespace verge::cli
