// Functions of times. A time is milliseconds since 1970 in UTC; texts are RFC 3339.
#include <charconv>
#include <chrono>
#include <cmath>

#include "base/clock.h"
#include "base/text.h"
#include "rules/functions.h"

namespace verge::rules {
namespace {

using std::chrono::days;
using std::chrono::microseconds;
using std::chrono::sys_days;
using std::chrono::sys_time;

// Beyond that, years have more than four digits.
constexpr int64_t kMicrosecondsMax = 253'402'300'799'999'999;

// Reads exactly so many digits off the front.
bool take_digits(std::string_view& text, size_t count, int& number) {
  if (text.size() < count) return false;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + count, number);
  if (problem != std::errc{} || end != text.data() + count || text.front() == '-') return false;
  text.remove_prefix(count);
  return true;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// ".123456789": the microseconds of it.
int64_t take_fraction(std::string_view& text) {
  int64_t micros = 0;
  int64_t unit = 100'000;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * unit;
    unit /= 10;
    text.remove_prefix(1);
  }
  return micros;
}

// "Z", "+02:00", or nothing, which is UTC: seconds to the east. Nothing when it is something else.
std::optional<int64_t> offset_of(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0;
  const bool is_west = text.front() == '-';
  if (!is_west && text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!take_digits(text, 2, hours)) return std::nullopt;
  take(text, ':');
  if (!take_digits(text, 2, minutes) || !text.empty() || hours > 23 || minutes > 59) return std::nullopt;
  const int64_t seconds = hours * 3600 + minutes * 60;
  return is_west ? -seconds : seconds;
}

std::optional<int64_t> parse_utc(std::string_view text) {
  text = trim(text);
  int year = 0;
  int month = 0;
  int day = 0;
  if (!take_digits(text, 4, year) || !take(text, '-') || !take_digits(text, 2, month) || !take(text, '-') ||
      !take_digits(text, 2, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int64_t fraction = 0;
  if (take(text, 'T') || take(text, 't') || take(text, ' ')) {
    if (!take_digits(text, 2, hour) || !take(text, ':') || !take_digits(text, 2, minute)) return std::nullopt;
    if (take(text, ':') && !take_digits(text, 2, second)) return std::nullopt;
    if (take(text, '.')) fraction = take_fraction(text);
  }
  const std::optional<int64_t> offset = offset_of(text);
  if (!offset || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const int64_t seconds = hour * 3600 + minute * 60 + second - *offset;
  return microseconds(sys_days(date).time_since_epoch()).count() + seconds * 1'000'000 + fraction;
}

Value milliseconds(int64_t micros) {
  if (micros % 1000 == 0) return Value::integer(micros / 1000);
  return Value::number(static_cast<double>(micros) / 1000);
}

Value truncated(std::string_view unit, int64_t micros) {
  const sys_time<microseconds> time{microseconds(micros)};
  const sys_days day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  sys_time<microseconds> start = day;
  if (unit == "second") {
    start = std::chrono::floor<std::chrono::seconds>(time);
  } else if (unit == "minute") {
    start = std::chrono::floor<std::chrono::minutes>(time);
  } else if (unit == "hour") {
    start = std::chrono::floor<std::chrono::hours>(time);
  } else if (unit == "week") {
    start = day - (std::chrono::weekday(day) - std::chrono::Monday);
  } else if (unit == "month") {
    start = sys_days(date.year() / date.month() / 1);
  } else if (unit == "year") {
    start = sys_days(date.year() / 1 / 1);
  } else if (unit != "day") {
    return {};
  }
  return milliseconds(start.time_since_epoch().count());
}

Value extracted(std::string_view unit, int64_t micros) {
  const sys_time<microseconds> time{microseconds(micros)};
  const sys_days day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss of_day(time - day);
  if (unit == "year") return Value::integer(int{date.year()});
  if (unit == "month") return Value::integer(unsigned{date.month()});
  if (unit == "day") return Value::integer(unsigned{date.day()});
  if (unit == "hour") return Value::integer(of_day.hours().count());
  if (unit == "minute") return Value::integer(of_day.minutes().count());
  if (unit == "second") return Value::integer(of_day.seconds().count());
  if (unit == "weekday") return Value::integer(std::chrono::weekday(day).iso_encoding());
  if (unit == "yearday") return Value::integer((day - sys_days(date.year() / 1 / 1)).count() + 1);
  return {};
}

}  // namespace

std::optional<int64_t> microseconds_of(const Value& value) {
  std::optional<int64_t> micros;
  if (value.is_text()) {
    micros = parse_utc(value.view());
  } else if (value.is_numeric() && std::fabs(value.as_double()) < 1e15) {
    const bool is_whole = value.is_integer();
    micros = is_whole ? value.as_integer() * 1000 : std::llround(value.as_double() * 1000);
  }
  if (!micros || *micros > kMicrosecondsMax || *micros < -kMicrosecondsMax / 4) return std::nullopt;
  return micros;
}

Value call_time(Function function, std::span<const Value> arguments, Workspace work) {
  const bool has_unit = function == Function::kDateTrunc || function == Function::kExtract;
  if (has_unit && !arguments[0].is_text()) return {};
  const std::optional<int64_t> micros = microseconds_of(arguments[has_unit ? 1 : 0]);
  if (!micros) return {};
  switch (function) {
    case Function::kParseTime:
      return milliseconds(*micros);
    case Function::kFormatTime:
      work.text = format_utc({*micros});
      return work.kept_text();
    case Function::kDateTrunc:
      return truncated(lower(arguments[0].view()), *micros);
    default:
      return extracted(lower(arguments[0].view()), *micros);
  }
}

}  // namespace verge::rules
