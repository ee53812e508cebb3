#include "net/http_date.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>

namespace verge::net {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

// Takes a date apart from the front; anything unexpected makes all that follows fail.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void literal(std::string_view expected) {
    if (!begins_with(expected)) return fail();
    rest_.remove_prefix(expected.size());
  }
  // Exactly `digits` digits.
  int number(size_t digits) {
    int value = 0;
    if (rest_.size() < digits) {
      fail();
      return 0;
    }
    for (size_t i = 0; i < digits; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') {
        fail();
        return 0;
      }
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  int one_of(std::span<const std::string_view> names) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (!begins_with(names[i])) continue;
      rest_.remove_prefix(names[i].size());
      return static_cast<int>(i);
    }
    fail();
    return 0;
  }
  [[nodiscard]] bool next_is(char c) const { return rest_.starts_with(c); }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return good_ && rest_.empty(); }

 private:
  // A cache matches names of days, months and zones whatever their case (RFC 9111 section 4.2).
  [[nodiscard]] bool begins_with(std::string_view expected) const {
    return equals_ignoring_case(rest_.substr(0, expected.size()), expected);
  }
  void fail() {
    good_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool good_ = true;
};

struct TimeOfDay {
  int hour = 0, minute = 0, second = 0;
};

TimeOfDay read_time(Reader& reader) {
  TimeOfDay time;
  time.hour = reader.number(2);
  reader.literal(":");
  time.minute = reader.number(2);
  reader.literal(":");
  time.second = reader.number(2);
  return time;
}

std::optional<int64_t> seconds_of(int year, int month_index, int day, const TimeOfDay& time) {
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year), month(static_cast<unsigned>(month_index) + 1),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || time.hour > 23 || time.minute > 59 || time.second > 60) return std::nullopt;
  return sys_days(date).time_since_epoch().count() * int64_t{86'400} + time.hour * 3600 + time.minute * 60 +
         time.second;
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<int64_t> read_fixed(std::string_view text) {
  Reader reader(text);
  reader.one_of(kDays);
  reader.literal(", ");
  const int day = reader.number(2);
  reader.literal(" ");
  const int month = reader.one_of(kMonths);
  reader.literal(" ");
  const int year = reader.number(4);
  reader.literal(" ");
  const TimeOfDay time = read_time(reader);
  reader.literal(" GMT");
  if (!reader.at_end()) return std::nullopt;
  return seconds_of(year, month, day, time);
}

// Sunday, 06-Nov-94 08:49:37 GMT
std::optional<int64_t> read_rfc850(std::string_view text, int64_t now) {
  Reader reader(text);
  reader.one_of(kLongDays);
  reader.literal(", ");
  const int day = reader.number(2);
  reader.literal("-");
  const int month = reader.one_of(kMonths);
  reader.literal("-");
  const int short_year = reader.number(2);
  reader.literal(" ");
  const TimeOfDay time = read_time(reader);
  reader.literal(" GMT");
  if (!reader.at_end()) return std::nullopt;
  using namespace std::chrono;
  const int this_year = static_cast<int>(year_month_day(floor<days>(sys_seconds(seconds(now)))).year());
  int full_year = this_year - this_year % 100 + short_year;
  if (full_year > this_year + 50) full_year -= 100;
  return seconds_of(full_year, month, day, time);
}

// Sun Nov  6 08:49:37 1994
std::optional<int64_t> read_asctime(std::string_view text) {
  Reader reader(text);
  reader.one_of(kDays);
  reader.literal(" ");
  const int month = reader.one_of(kMonths);
  reader.literal(" ");
  int day = 0;
  if (reader.next_is(' ')) {
    reader.literal(" ");
    day = reader.number(1);
  } else {
    day = reader.number(2);
  }
  reader.literal(" ");
  const TimeOfDay time = read_time(reader);
  reader.literal(" ");
  const int year = reader.number(4);
  if (!reader.at_end()) return std::nullopt;
  return seconds_of(year, month, day, time);
}

}  // namespace

std::optional<int64_t> parse_http_date(std::string_view text, int64_t now) {
  if (text.size() > 3 && text[3] == ',') return read_fixed(text);
  if (text.size() > 3 && text[3] == ' ') return read_asctime(text);
  return read_rfc850(text, now);
}

std::optional<Duration> retry_after(std::span<const HttpField> fields, WallTime now, Duration most) {
  const std::optional<std::string_view> field = find_field(fields, "retry-after");
  if (!field || field->empty()) return std::nullopt;
  const char* const text_end = field->data() + field->size();
  uint32_t delay_s = 0;
  if (const auto [end, problem] = std::from_chars(field->data(), text_end, delay_s); end == text_end) {
    // More than a number holds is more than is waited for.
    return problem == std::errc{} ? std::min<Duration>(std::chrono::seconds(delay_s), most) : most;
  }
  const int64_t now_s = now.microseconds / 1'000'000;
  const std::optional<int64_t> until_s = parse_http_date(*field, now_s);
  if (!until_s) return std::nullopt;
  const std::optional<std::string_view> date = find_field(fields, "date");
  const int64_t from_s = (date ? parse_http_date(*date, now_s) : std::nullopt).value_or(now_s);
  const int64_t most_s = std::chrono::ceil<std::chrono::seconds>(most).count();
  return std::min<Duration>(std::chrono::seconds(std::clamp<int64_t>(*until_s - from_s, 0, most_s)), most);
}

}  // namespace verge::net
