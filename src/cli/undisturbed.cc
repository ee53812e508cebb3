#include "cli/undisturbed.h"

#include <charconv>
#include <fstream>
#include <string>

namespace verge::cli {

std::optional<uint64_t> parse_stolen_ticks(std::string_view stat) {
  // "cpu  user nice system idle iowait irq softirq steal …"
  constexpr size_t kStealField = 8;
  stat = stat.substr(0, stat.find('\n'));
  for (size_t field = 0; !stat.empty(); ++field) {
    const std::string_view word = stat.substr(0, stat.find(' '));
    if (field == 0 && word != "cpu") return std::nullopt;
    if (field == kStealField) {
      uint64_t ticks = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), ticks);
      if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
      return ticks;
    }
    stat.remove_prefix(word.size());
    stat.remove_prefix(std::min(stat.find_first_not_of(' '), stat.size()));
  }
  return std::nullopt;
}

void Undisturbed::close_window(MonotonicTime now, std::optional<uint64_t> stolen_ticks) {
  const bool quiet = stolen_ticks && stolen_ticks == stolen_at_start_;
  if (quiet && previous_was_quiet_) {
    for (const Duration latency : window_) latency_.record(latency);
  }
  window_.clear();
  previous_was_quiet_ = quiet;
  stolen_at_start_ = stolen_ticks;
  since_ = now;
}

std::optional<uint64_t> Undisturbed::stolen_ticks_now() {
  std::ifstream file("/proc/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return parse_stolen_ticks(line);
}

}  // namespace verge::cli
