#include "overview/history.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/assert.h"

namespace verge::overview {

void History::add(MonotonicTime at, WallTime time, const Figures& figures) {
  const int64_t now = std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
  behind_ = time.microseconds - now;
  std::array<float, kFigureCount> sample{};
  std::ranges::transform(figures.values, sample.begin(), [](double value) { return static_cast<float>(value); });
  if (times_.size() < kSamples) {
    times_.push_back(now);
    values_.push_back(sample);
    return;
  }
  times_[next_] = now;
  values_[next_] = sample;
  next_ = (next_ + 1) % kSamples;
}

size_t History::index(size_t back) const {
  VERGE_ASSERT(back < size());
  return (next_ + size() - 1 - back) % size();
}

double History::value(Figure figure, size_t back) const { return values_[index(back)][static_cast<size_t>(figure)]; }

WallTime History::time(size_t back) const { return {times_[index(back)] + behind_}; }

size_t History::within(Duration span) const {
  if (size() == 0) return 0;
  const int64_t oldest = time(0).microseconds - std::chrono::duration_cast<std::chrono::microseconds>(span).count();
  size_t count = 0;
  while (count < size() && time(count).microseconds >= oldest) ++count;
  return count;
}

std::string History::json(std::span<const Figure> figures, Duration span, size_t points) const {
  const size_t samples = within(span);
  const size_t each = std::max<size_t>(1, (samples + points - 1) / std::max<size_t>(1, points));
  std::string out =
      fmt::format(R"({{"every_ms":{},"times_ms":[)",
                  std::chrono::duration_cast<std::chrono::milliseconds>(kEvery).count() * static_cast<int64_t>(each));
  // Groups end at the newest sample, so that the last point is whole.
  const size_t groups = samples / each;
  const auto list = [&](auto&& append) {
    for (size_t group = groups; group-- > 0;) {
      append(group * each);
      if (group > 0) out.push_back(',');
    }
  };
  list([&](size_t back) { fmt::format_to(std::back_inserter(out), "{}", time(back).microseconds / 1000); });
  out.append(R"(],"series":{)");
  for (const Figure figure : figures) {
    fmt::format_to(std::back_inserter(out), "{}\"{}\":[", out.back() == '{' ? "" : ",",
                   kFigureNames[static_cast<size_t>(figure)].name);
    list([&](size_t back) {
      double sum = 0;
      size_t count = 0;
      for (size_t i = back; i < back + each; ++i) {
        const double found = value(figure, i);
        if (!std::isfinite(found)) continue;
        sum += found;
        ++count;
      }
      append_number(out, count == 0 ? kNothing : sum / static_cast<double>(count));
    });
    out.push_back(']');
  }
  return out.append("}}");
}

}  // namespace verge::overview
