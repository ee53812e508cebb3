#include "series/timestamp.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include <fmt/format.h>

namespace verge::series {
namespace {

using Kind = TimestampLayout::Kind;

constexpr int64_t kMinutesPerDay = 24 * 60;

int64_t power_of_ten(unsigned exponent) {
  int64_t power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

// Takes exactly `digits` digits and the letter behind them from the front; -1 where they are not there.
int64_t take_number(std::string_view& text, size_t digits, char behind = '\0') {
  const size_t length = digits + (behind == '\0' ? 0 : 1);
  if (text.size() < length) return -1;
  int64_t number = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return -1;
    number = number * 10 + (text[i] - '0');
  }
  if (behind != '\0' && text[digits] != behind) return -1;
  text.remove_prefix(length);
  return number;
}

bool is_suffix(std::string_view text) {
  if (text.empty() || text == "Z") return true;
  return text.size() == 6 && (text[0] == '+' || text[0] == '-') && is_digit(text[1]) && is_digit(text[2]) &&
         text[3] == ':' && is_digit(text[4]) && is_digit(text[5]);
}

std::optional<Timestamp> parse_integer(std::string_view text) {
  Timestamp timestamp;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), timestamp.ticks);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return timestamp;
}

// The time of day behind "T" or " ": minutes since midnight, then seconds and fraction where there are any.
std::optional<Timestamp> parse_time_of_day(std::string_view rest, int64_t days) {
  Timestamp timestamp;
  TimestampLayout& layout = timestamp.layout;
  layout.has_t = rest.front() == 'T';
  rest.remove_prefix(1);
  const int64_t hour = take_number(rest, 2, ':');
  const int64_t minute = take_number(rest, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return std::nullopt;
  layout.kind = Kind::kMinute;
  timestamp.ticks = days * kMinutesPerDay + hour * 60 + minute;
  if (!rest.empty() && rest.front() == ':') {
    rest.remove_prefix(1);
    const int64_t second = take_number(rest, 2);
    if (second < 0 || second > 59) return std::nullopt;
    layout.kind = Kind::kSecond;
    timestamp.ticks = timestamp.ticks * 60 + second;
    if (rest.size() > 1 && rest.front() == '.' && is_digit(rest[1])) {
      rest.remove_prefix(1);
      while (layout.fraction_digits < 9 && !rest.empty() && is_digit(rest.front())) {
        if (__builtin_mul_overflow(timestamp.ticks, 10, &timestamp.ticks)) return std::nullopt;
        if (__builtin_add_overflow(timestamp.ticks, rest.front() - '0', &timestamp.ticks)) return std::nullopt;
        rest.remove_prefix(1);
        ++layout.fraction_digits;
      }
    }
  }
  if (!is_suffix(rest)) return std::nullopt;
  layout.suffix = rest;
  return timestamp;
}

std::optional<Timestamp> parse_civil(std::string_view text) {
  std::string_view rest = text;
  const int64_t year = take_number(rest, 4, '-');
  const int64_t month = take_number(rest, 2, '-');
  const int64_t day = take_number(rest, 2);
  if (year < 0 || month < 0 || day < 0) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  if (!rest.empty() && (rest.front() == 'T' || rest.front() == ' ')) return parse_time_of_day(rest, days);
  if (!is_suffix(rest)) return std::nullopt;
  Timestamp timestamp;
  timestamp.ticks = days;
  timestamp.layout = {.kind = Kind::kDate, .suffix = std::string(rest)};
  return timestamp;
}

int64_t floor_divided(int64_t number, int64_t by) { return number / by - (number % by < 0 ? 1 : 0); }

}  // namespace

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  std::optional<Timestamp> timestamp = parse_civil(text);
  if (!timestamp) timestamp = parse_integer(text);
  if (!timestamp || format_timestamp(timestamp->ticks, timestamp->layout) != text) return std::nullopt;
  return timestamp;
}

std::string format_timestamp(int64_t ticks, const TimestampLayout& layout) {
  if (layout.kind == Kind::kInteger) return fmt::format("{}", ticks);
  const int64_t second_ticks = layout.kind == Kind::kSecond ? power_of_ten(layout.fraction_digits) : 1;
  const int64_t day_ticks = layout.kind == Kind::kDate     ? 1
                            : layout.kind == Kind::kMinute ? kMinutesPerDay
                                                           : kMinutesPerDay * 60 * second_ticks;
  const int64_t days = floor_divided(ticks, day_ticks);
  const auto of_day = static_cast<int64_t>(static_cast<uint64_t>(ticks) -
                                           static_cast<uint64_t>(days) * static_cast<uint64_t>(day_ticks));
  // Days beyond what a calendar of 16-bit years holds come from damaged records only.
  const int64_t bounded = std::clamp<int64_t>(days, -10'000'000, 10'000'000);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(bounded))};
  std::string text = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  if (layout.kind != Kind::kDate) {
    const int64_t seconds = layout.kind == Kind::kMinute ? of_day * 60 : of_day / second_ticks;
    text += fmt::format("{}{:02}:{:02}", layout.has_t ? 'T' : ' ', seconds / 3600, seconds / 60 % 60);
    if (layout.kind == Kind::kSecond) text += fmt::format(":{:02}", seconds % 60);
    if (layout.fraction_digits > 0) {
      text += fmt::format(".{:0{}}", of_day % second_ticks, static_cast<int>(layout.fraction_digits));
    }
  }
  return text + layout.suffix;
}

int64_t wall_microseconds(const Timestamp& timestamp) {
  const auto scaled = [](int64_t ticks, int64_t by) {
    int64_t product = 0;
    return __builtin_mul_overflow(ticks, by, &product) ? ticks : product;
  };
  switch (timestamp.layout.kind) {
    case Kind::kDate:
      return scaled(timestamp.ticks, kMinutesPerDay * 60'000'000);
    case Kind::kMinute:
      return scaled(timestamp.ticks, 60'000'000);
    case Kind::kSecond:
      return timestamp.layout.fraction_digits <= 6
                 ? scaled(timestamp.ticks, power_of_ten(6U - timestamp.layout.fraction_digits))
                 : timestamp.ticks / power_of_ten(timestamp.layout.fraction_digits - 6U);
    case Kind::kInteger:
      break;
  }
  const int64_t size = timestamp.ticks < 0 ? -(timestamp.ticks + 1) : timestamp.ticks;
  if (size < 100'000'000'000) return timestamp.ticks * 1'000'000;  // seconds, until the year 5138
  if (size < 100'000'000'000'000) return timestamp.ticks * 1000;
  if (size < 100'000'000'000'000'000) return timestamp.ticks;
  return timestamp.ticks / 1000;
}

}  // namespace verge::series
