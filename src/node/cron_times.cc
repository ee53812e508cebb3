#include "node/cron_times.h"

#include <array>
#include <charconv>
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::node {
namespace {

constexpr size_t kBytesMax = 256;

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNamed = {{{"@hourly", "0 * * * *"},
                                                                                  {"@daily", "0 0 * * *"},
                                                                                  {"@midnight", "0 0 * * *"},
                                                                                  {"@weekly", "0 0 * * 0"},
                                                                                  {"@monthly", "0 0 1 * *"},
                                                                                  {"@yearly", "0 0 1 1 *"}}};
constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Field {
  std::string_view what;
  unsigned min = 0;
  unsigned max = 0;
  std::span<const std::string_view> names = {};
  unsigned first_name = 0;
};

std::unexpected<Error> bad_cron(std::string what) {
  return fail("workers.cron", std::move(what),
              R"(write minute, hour, day, month and day of the week, such as "*/5 * * * *" or "0 3 * * MON-FRI")");
}

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<unsigned> value_of(std::string_view text, const Field& field) {
  const std::string name = lower(text);
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (field.names[i] == name) return field.first_name + static_cast<unsigned>(i);
  }
  const std::optional<unsigned> value = number(text);
  return value && *value >= field.min && *value <= field.max ? value : std::nullopt;
}

// Sets what one member of a list stands for; false: it is none.
template <class Set>
bool take_member(std::string_view text, const Field& field, Set& set) {
  std::optional<unsigned> step = 1;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    step = number(text.substr(slash + 1));
    text = text.substr(0, slash);
  }
  if (!step || *step == 0 || *step > field.max) return false;
  std::optional<unsigned> first = field.min, last = field.max;
  if (text != "*") {
    const size_t dash = text.find('-');
    first = value_of(text.substr(0, dash), field);
    // 8/2 is from 8 on.
    if (dash != std::string_view::npos) {
      last = value_of(text.substr(dash + 1), field);
    } else if (slash == std::string_view::npos) {
      last = first;
    }
  }
  if (!first || !last || *first > *last) return false;
  for (unsigned value = *first; value <= *last; value += *step) {
    set.set(value % set.size());
    if (*step > *last - value) break;
  }
  return true;
}

template <class Set>
bool take_field(std::string_view text, const Field& field, Set& set) {
  while (true) {
    const std::string_view member = text.substr(0, text.find(','));
    if (!take_member(member, field, set)) return false;
    if (member.size() == text.size()) return true;
    text.remove_prefix(member.size() + 1);
  }
}

}  // namespace

Result<CronTimes> CronTimes::parse(std::string_view text) {
  if (text.size() > kBytesMax) return bad_cron("a cron expression has 256 bytes at most");
  const std::string_view written = text;
  for (const auto& [name, expression] : kNamed) {
    if (lower(text) == name) text = expression;
  }
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    const size_t blank = std::min(text.find_first_of(" \t"), text.size());
    if (blank > 0) fields.push_back(text.substr(0, blank));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  if (fields.size() != 5) {
    return bad_cron(fmt::format("the cron expression {} has {} fields, not 5", json_string(written), fields.size()));
  }
  CronTimes times;
  const auto refused = [&](const Field& field, std::string_view its) {
    return bad_cron(
        fmt::format("{} is no {} of a cron expression ({} to {})", json_string(its), field.what, field.min, field.max));
  };
  static constexpr Field kMinute{"minute", 0, 59}, kHour{"hour", 0, 23}, kDay{"day", 1, 31};
  const Field month{"month", 1, 12, kMonths, 1};
  const Field weekday{"day of the week", 0, 7, kWeekdays, 0};
  if (!take_field(fields[0], kMinute, times.minutes_)) return refused(kMinute, fields[0]);
  if (!take_field(fields[1], kHour, times.hours_)) return refused(kHour, fields[1]);
  if (!take_field(fields[2], kDay, times.days_)) return refused(kDay, fields[2]);
  if (!take_field(fields[3], month, times.months_)) return refused(month, fields[3]);
  if (!take_field(fields[4], weekday, times.weekdays_)) return refused(weekday, fields[4]);
  times.any_day_ = fields[2] == "*";
  times.any_weekday_ = fields[4] == "*";
  if (!times.next_after(0)) return bad_cron(fmt::format("the time of {} never comes", json_string(written)));
  return times;
}

std::optional<int64_t> CronTimes::next_after(int64_t seconds) const {
  using std::chrono::sys_days;
  // Twice from one 29 February to the next, over a century.
  constexpr int kDaysMax = 8 * 366;
  const std::chrono::sys_seconds from{std::chrono::seconds(seconds)};
  const sys_days today = std::chrono::floor<std::chrono::days>(from);
  const auto minute_of_day = std::chrono::floor<std::chrono::minutes>(from - today).count();
  for (int ahead = 0; ahead <= kDaysMax; ++ahead) {
    const sys_days day = today + std::chrono::days(ahead);
    const std::chrono::year_month_day date(day);
    if (!months_.test(static_cast<unsigned>(date.month()))) continue;
    const bool is_day = days_.test(static_cast<unsigned>(date.day()));
    const bool is_weekday = weekdays_.test(std::chrono::weekday(day).c_encoding());
    const bool matches = any_day_ ? is_weekday : any_weekday_ ? is_day : is_day || is_weekday;
    if (!matches) continue;
    for (int64_t minute = ahead == 0 ? minute_of_day + 1 : 0; minute < 24 * 60; ++minute) {
      if (!hours_.test(static_cast<size_t>(minute / 60)) || !minutes_.test(static_cast<size_t>(minute % 60))) continue;
      return (day.time_since_epoch() / std::chrono::seconds(1)) + minute * 60;
    }
  }
  return std::nullopt;
}

}  // namespace verge::node
