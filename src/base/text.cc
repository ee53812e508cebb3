#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

// What is compared with a char means this: where it is not so, -fsigned-char is missing.
static_assert(std::is_signed_v<char>);

namespace verge {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Splits "12.5 unit" and multiplies; the unit is looked up in `units`, whose first entry is the one without a name.
std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  text = trim(text);
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
  const std::string_view unit = trim(text.substr(static_cast<size_t>(end - text.data())));
  for (const Unit& known : units) {
    if (unit == known.name) return number * known.factor;
  }
  return std::nullopt;
}

// The length of the UTF-8 sequence at the front of `text`, or 0 when it is none.
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;   // overlong
  if (lead == 0xed && byte(1) >= 0xa0) return 0;  // surrogate
  if (lead == 0xf0 && byte(1) < 0x90) return 0;   // overlong
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;  // above U+10FFFF
  return length;
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, substitute});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > 64) return {};
  const std::string wanted = lower(word);
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(wanted, lower(candidate));
    // Of a short word more than half must be right.
    if (distance < best && 2 * distance < std::max(word.size(), candidate.size())) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::optional<Duration> parse_duration(std::string_view text) {
  static constexpr Unit kUnits[] = {{"ns", 1},     {"us", 1e3}, {"ms", 1e6},   {"s", 1e9},
                                    {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  const std::optional<double> nanoseconds = parse_with_unit(text, kUnits);
  if (!nanoseconds || *nanoseconds > 9e18) return std::nullopt;
  return Duration(std::llround(*nanoseconds));
}

std::string format_duration(Duration duration) {
  static constexpr std::pair<int64_t, std::string_view> kUnits[] = {{86'400'000'000'000, "d"},
                                                                    {3'600'000'000'000, "h"},
                                                                    {60'000'000'000, "min"},
                                                                    {1'000'000'000, "s"},
                                                                    {1'000'000, "ms"},
                                                                    {1'000, "us"},
                                                                    {1, "ns"}};
  for (const auto& [size, name] : kUnits) {
    if (duration.count() % size == 0 && duration.count() != 0)
      return fmt::format("{}{}", duration.count() / size, name);
  }
  return "0s";
}

std::optional<uint64_t> parse_size(std::string_view text) {
  static constexpr Unit kUnits[] = {
      {"", 1},     {"B", 1},    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
      {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},     {"TB", 1e12}};
  const std::optional<double> bytes = parse_with_unit(text, kUnits);
  if (!bytes || *bytes > 1e18) return std::nullopt;
  return static_cast<uint64_t>(std::llround(*bytes));
}

std::string format_size(uint64_t bytes) {
  static constexpr std::pair<uint64_t, std::string_view> kUnits[] = {
      {1ULL << 40, "TiB"}, {1ULL << 30, "GiB"}, {1ULL << 20, "MiB"}, {1ULL << 10, "KiB"}};
  for (const auto& [size, name] : kUnits) {
    if (bytes >= size && bytes % size == 0) return fmt::format("{}{}", bytes / size, name);
  }
  return fmt::format("{}", bytes);
}

std::string format_utc(WallTime time) {
  int64_t seconds = time.microseconds / 1'000'000;
  int64_t fraction = time.microseconds % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  const std::time_t whole = seconds;
  std::tm parts{};
  gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, fraction);
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const auto c = static_cast<uint8_t>(text.front());
    if (c >= 0x80) {
      const size_t length = utf8_sequence(text);
      if (c == 0xC2 && length == 2 && static_cast<uint8_t>(text[1]) < 0xA0) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint8_t>(text[1]));
        text.remove_prefix(length);
        continue;
      }
      out.append(length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length));
      text.remove_prefix(std::max<size_t>(length, 1));
      continue;
    }
    switch (c) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      default:
        if (c < 0x20 || c == 0x7F) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
        } else {
          out.push_back(static_cast<char>(c));
        }
    }
    text.remove_prefix(1);
  }
  out.push_back('"');
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string error_json(const Error& error) {
  return fmt::format("{{\"error\":{{\"code\":{},\"what\":{},\"fix\":{}}}}}", json_string(error.code),
                     json_string(error.what), json_string(error.fix));
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Of a sound sequence of UTF-8.
char32_t code_point(std::string_view sequence) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(sequence[i]); };
  if (sequence.size() == 1) return at(0);
  char32_t value = at(0) & (0x7FU >> sequence.size());
  for (size_t i = 1; i < sequence.size(); ++i) value = value << 6 | (at(i) & 0x3FU);
  return value;
}

bool is_acted_on(char32_t value) {
  return value < 0x20 || (value >= 0x7F && value <= 0x9F) || value == 0x061C || value == 0x200E || value == 0x200F ||
         (value >= 0x2028 && value <= 0x202E) || (value >= 0x2066 && value <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    const std::string_view sequence = text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(sequence.size());
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(sequence[0]));
    } else if (sequence == "\n") {
      out.append("\\n");
    } else if (sequence == "\t") {
      out.append("\\t");
    } else if (const char32_t value = code_point(sequence); is_acted_on(value)) {
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", static_cast<uint32_t>(value));
    } else {
      out.append(sequence);
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  while (!text.empty()) {
    const std::string_view group = text.substr(0, 4);
    text.remove_prefix(4);
    const size_t digits = text.empty() ? group.find_last_not_of('=') + 1 : 4;
    if (digits < 2) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t digit = i < digits ? kAlphabet.find(group[i]) : 0;
      if (digit == std::string_view::npos) return std::nullopt;
      value = value << 6 | static_cast<uint32_t>(digit);
    }
    // What the last digit has beyond whole bytes is zero: each content has one form.
    if ((value & ((1U << 8 * (4 - digits)) - 1)) != 0) return std::nullopt;
    for (size_t i = 0; i + 1 < digits; ++i) bytes.push_back(static_cast<char>(value >> (16 - 8 * i) & 0xFF));
  }
  return bytes;
}

std::string base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](size_t k) -> uint32_t { return k < bytes.size() ? static_cast<uint8_t>(bytes[k]) : 0; };
    const uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    text.push_back(kAlphabet[group >> 18]);
    text.push_back(kAlphabet[group >> 12 & 63]);
    text.push_back(i + 1 < bytes.size() ? kAlphabet[group >> 6 & 63] : '=');
    text.push_back(i + 2 < bytes.size() ? kAlphabet[group & 63] : '=');
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

}  // namespace verge
