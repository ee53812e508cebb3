// What a reading is worth, and where it should be decided on: thresholds that all rules share.
#pragma once

#include <string_view>

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

}  // namespace verge::rules
