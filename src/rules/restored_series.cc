#include "rules/restored_series.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "rules/aggregate.h"
#include "series/reduced_series.h"

namespace verge::rules {

std::optional<RestoredSeries> restore_series(std::string_view record) {
  const Result<series::Restored> restored = series::restore(record);
  if (!restored || !record.empty() || restored->window.values.size() > kReducedReadingsMax) return std::nullopt;
  constexpr int64_t kMicroseconds = 1000;
  const int64_t unit_us = restored->window.time_name == "ms" ? kMicroseconds : 1;
  RestoredSeries series;
  for (size_t i = 0; i < restored->window.values.size(); ++i) {
    const std::string time = restored->window.times.text(i);
    int64_t ticks = 0;
    const auto [end, problem] = std::from_chars(time.data(), time.data() + time.size(), ticks);
    if (problem != std::errc{} || end != time.data() + time.size()) return std::nullopt;
    if (ticks > INT64_MAX / kMicroseconds || ticks < INT64_MIN / kMicroseconds) return std::nullopt;
    const bool is_exact = std::ranges::binary_search(restored->exact, i);
    series.readings.push_back({.time_us = ticks * unit_us,
                               .value = restored->window.values[i],
                               .error_bound = is_exact ? 0 : restored->error_bound});
  }
  return series;
}

}  // namespace verge::rules
