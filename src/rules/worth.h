// What a reading is worth, and where it should be decided on: thresholds that all rules share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>

#include "base/clock.h"

namespace verge::rules {

enum class Handling { kHot, kBatch, kAggregate };

// `importance`: 0 to 1. Hot is sent at once; a batch is kept a day and sent with others; of the rest only aggregates
// go.
constexpr Handling handling_of(double importance) {
  constexpr double kHot = 0.8;
  constexpr double kBatch = 0.5;
  if (importance > kHot) return Handling::kHot;
  return importance > kBatch ? Handling::kBatch : Handling::kAggregate;
}

constexpr std::string_view name_of(Handling handling) {
  return handling == Handling::kHot ? "hot" : handling == Handling::kBatch ? "batch" : "aggregate";
}

// The level that decides: what is urgent near by, what is complex far up. Both 0 to 1.
constexpr std::string_view level_of(double urgency, double complexity) {
  if (urgency > 0.9 && complexity < 0.3) return "device";
  if (urgency > 0.7 && complexity < 0.6) return "edge";
  if (urgency < 0.5 && complexity > 0.8) return "cloud";
  return "fog";
}

// Of a decision that must be there by then, where the rule states none: 1 at once, 0.7 at 15 ms, 0.5 at 100 ms.
inline double urgency_of(Duration deadline) {
  const double milliseconds = std::chrono::duration<double, std::milli>(deadline).count();
  return std::clamp(1 - (std::log10(1 + milliseconds) / 4), 0.0, 1.0);
}

// Of a decision that costs so much to make: 0.2 at 10 us, 0.6 at 1 ms, 0.8 at 10 ms.
inline double complexity_of(Duration cost) {
  const double microseconds = std::chrono::duration<double, std::micro>(cost).count();
  return std::clamp(std::log10(1 + microseconds) / 5, 0.0, 1.0);
}

}  // namespace verge::rules
