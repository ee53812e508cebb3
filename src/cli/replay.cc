#include "cli/replay.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::cli {
namespace {

// Takes one field and its comma; a quoted one without its quotes.
std::string_view take_field(std::string_view& line) {
  line = trim(line);
  std::string_view field;
  if (line.starts_with('"')) {
    const size_t end = std::min(line.find('"', 1), line.size());
    field = line.substr(1, end - 1);
    line.remove_prefix(std::min(end + 1, line.size()));
    line.remove_prefix(std::min(line.find(','), line.size()));
  } else {
    field = trim(line.substr(0, line.find(',')));
    line.remove_prefix(std::min(line.find(','), line.size()));
  }
  if (line.starts_with(',')) line.remove_prefix(1);
  return field;
}

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace

Result<std::vector<ReplayPoint>> parse_replay(std::string_view csv, std::string_view name) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (csv.starts_with(kByteOrderMark)) csv.remove_prefix(kByteOrderMark.size());
  std::vector<ReplayPoint> points;
  for (size_t number = 1; !csv.empty(); ++number) {
    const std::string_view whole = csv.substr(0, csv.find('\n'));
    csv.remove_prefix(std::min(whole.size() + 1, csv.size()));
    std::string_view line = trim(whole);
    if (line.empty()) continue;
    const std::string_view timestamp = take_field(line);
    const std::optional<double> value = number_of(take_field(line));
    if (value && !timestamp.empty() && is_utf8(timestamp)) {
      points.push_back({std::string(timestamp), *value});
    } else if (!points.empty() || number > 1) {
      return fail("replay.line", fmt::format("{}:{}: '{}' is not timestamp,value", name, number, trim(whole)),
                  "each line is a timestamp, a comma and a number");
    }
  }
  if (points.empty()) return fail("replay.empty", fmt::format("{} has no line timestamp,value", name));
  return points;
}

Result<std::vector<ReplayPoint>> read_replay(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string csv{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    return fail("replay.file", fmt::format("{} cannot be read", path), "give a CSV file with --replay");
  }
  return parse_replay(csv, path);
}

std::string replay_topic_level(const std::string& path) {
  std::string level = std::filesystem::path(path).stem().string();
  std::ranges::replace_if(level, [](char c) { return c == '/' || c == '+' || c == '#' || c == '$'; }, '-');
  return level.empty() || !is_utf8(level) ? "series" : level;
}

}  // namespace verge::cli
