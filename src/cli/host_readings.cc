#include "cli/host_readings.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace verge::cli {
namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Takes the next word that is divided by blanks; empty at the end.
std::string_view take_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t\n"));
  rest.remove_prefix(word.size());
  return word;
}

std::optional<uint64_t> take_number(std::string_view& rest) {
  const std::string_view word = take_word(rest);
  uint64_t number = 0;
  if (std::from_chars(word.data(), word.data() + word.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

std::optional<uint64_t> field_of(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + name.size());
  return take_number(text);
}

std::optional<double> disk_used() {
  struct statvfs disk{};
  if (statvfs("/", &disk) != 0 || disk.f_blocks == 0) return std::nullopt;
  return 1.0 - static_cast<double>(disk.f_bavail) / static_cast<double>(disk.f_blocks);
}

// The warmest sensor, degrees Celsius.
std::optional<double> temperature() {
  std::optional<double> warmest;
  const auto consider = [&](const std::filesystem::path& path) {
    const std::string text = content_of(path);
    int64_t millidegrees = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), millidegrees).ec != std::errc{}) return;
    warmest = std::max(warmest.value_or(-273.15), static_cast<double>(millidegrees) / 1000);
  };
  std::error_code problem;
  for (const auto& zone : std::filesystem::directory_iterator("/sys/class/thermal", problem)) {
    if (zone.path().filename().string().starts_with("thermal_zone")) consider(zone.path() / "temp");
  }
  for (const auto& chip : std::filesystem::directory_iterator("/sys/class/hwmon", problem)) {
    consider(chip.path() / "temp1_input");
  }
  return warmest;
}

}  // namespace

std::optional<CpuTicks> parse_cpu(std::string_view stat) {
  if (take_word(stat) != "cpu") return std::nullopt;
  constexpr int kIdleField = 3;
  constexpr int kWaitField = 4;
  constexpr int kFields = 8;  // those after it are contained in the first two
  CpuTicks ticks;
  for (int field = 0; field < kFields; ++field) {
    const std::optional<uint64_t> number = take_number(stat);
    if (!number) return std::nullopt;
    ticks.total += *number;
    if (field != kIdleField && field != kWaitField) ticks.busy += *number;
  }
  return ticks;
}

std::optional<double> parse_memory_used(std::string_view meminfo) {
  const std::optional<uint64_t> total = field_of(meminfo, "MemTotal:");
  const std::optional<uint64_t> available = field_of(meminfo, "MemAvailable:");
  if (!total || !available || *total == 0) return std::nullopt;
  return 1.0 - static_cast<double>(*available) / static_cast<double>(*total);
}

NetworkBytes parse_network(std::string_view dev) {
  NetworkBytes sum;
  while (!dev.empty()) {
    std::string_view line = dev.substr(0, dev.find('\n'));
    dev.remove_prefix(std::min(line.size() + 1, dev.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name = line.substr(0, colon);
    if (take_word(name) == "lo") continue;
    line.remove_prefix(colon + 1);
    constexpr int kSentField = 8;
    for (int field = 0; field <= kSentField; ++field) {
      const uint64_t number = take_number(line).value_or(0);
      if (field == 0) sum.received += number;
      if (field == kSentField) sum.sent += number;
    }
  }
  return sum;
}

std::string HostReadings::read(MonotonicTime now) {
  const CpuTicks cpu = parse_cpu(content_of("/proc/stat")).value_or(cpu_);
  const NetworkBytes network = parse_network(content_of("/proc/net/dev"));
  const bool first = before_ == MonotonicTime{};
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - before_).count());
  const auto rate = [&](uint64_t to, uint64_t from) {
    return first || to < from ? 0.0 : static_cast<double>(to - from) / seconds;
  };
  std::string out = "{";
  const auto member = [&](std::string_view name, std::optional<double> value, int digits) {
    if (value)
      fmt::format_to(std::back_inserter(out), "{}\"{}\":{:.{}f}", out.size() > 1 ? "," : "", name, *value, digits);
  };
  const uint64_t ticks = cpu.total - std::min(cpu.total, cpu_.total);
  member("cpu", first || ticks == 0 ? 0.0 : static_cast<double>(cpu.busy - cpu_.busy) / static_cast<double>(ticks), 3);
  member("memory", parse_memory_used(content_of("/proc/meminfo")), 3);
  member("disk", disk_used(), 3);
  member("received_bytes_s", rate(network.received, network_.received), 0);
  member("sent_bytes_s", rate(network.sent, network_.sent), 0);
  member("temperature", temperature(), 1);
  before_ = now;
  cpu_ = cpu;
  network_ = network;
  return out + "}";
}

std::string host_topic_level() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "host";
  std::string level = name;
  std::ranges::replace_if(level, [](char c) { return c == '/' || c == '+' || c == '#' || c == '$'; }, '-');
  return level;
}

}  // namespace verge::cli
