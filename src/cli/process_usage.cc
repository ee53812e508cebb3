#include "cli/process_usage.h"

#include <charconv>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <unistd.h>

namespace verge::cli {

std::optional<uint64_t> parse_cpu_ticks(std::string_view stat) {
  // The second field is the name in parentheses, which may contain anything.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 1);
  constexpr int kUserField = 14;
  constexpr int kSystemField = 15;
  uint64_t sum = 0;
  for (int field = 3; field <= kSystemField; ++field) {
    const size_t start = rest.find_first_not_of(' ');
    if (start == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(start);
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    if (field < kUserField) continue;
    uint64_t ticks = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), ticks).ec != std::errc{}) return std::nullopt;
    sum += ticks;
  }
  return sum;
}

Result<Duration> cpu_time_of(int process_id) {
  std::ifstream file(fmt::format("/proc/{}/stat", process_id));
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  const std::optional<uint64_t> ticks = parse_cpu_ticks(stat);
  if (!ticks) {
    return fail("bench.pid", fmt::format("there is no process {} to be measured", process_id),
                "give the broker's process id with --pid");
  }
  return Duration(std::chrono::seconds(1)) * *ticks / sysconf(_SC_CLK_TCK);
}

}  // namespace verge::cli
