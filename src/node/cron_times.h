// CronTimes: the times that a cron expression stands for, as of cron(8): five fields, minute (0-59), hour (0-23), day
// of the month (1-31), month (1-12 or JAN-DEC) and day of the week (0-7 or SUN-SAT; 0 and 7 are Sunday), in UTC.
//
// A field is * or a list of values and ranges (1-5), each with a step (*/15, 8-18/2). Where both days are given
// either counts. @hourly, @daily, @weekly, @monthly and @yearly stand for the usual expressions.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace verge::node {

class CronTimes {
 public:
  // Error: workers.cron, also of a time that never comes (30 February).
  static Result<CronTimes> parse(std::string_view text);

  // The first such time after `seconds` since 1970, within the next eight years; none where there is none.
  [[nodiscard]] std::optional<int64_t> next_after(int64_t seconds) const;

 private:
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_day_ = false;
  bool any_weekday_ = false;
};

}  // namespace verge::node
