// Goals: the figures that say whether it is worth having, with what is measured now.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "overview/figures.h"

namespace verge::overview {

// What the hit ratios should be: the goals, the metrics and the insights say the same.
inline constexpr double kEdgeHitRatioGoal = 0.95;
inline constexpr double kCacheHitRatioGoal = 0.85;

// What is measured; NaN: nothing to measure yet.
struct Measured {
  double request_p50_ms = kNothing;  // over the last minute
  double request_p99_ms = kNothing;
  double edge_hit_ratio = kNothing;
  double availability = kNothing;  // of all requests since the start, those not answered with an error of the node
  double lag_ms = kNothing;        // how late the latest record for the parent is, beyond what it may wait for a batch
  double bandwidth_saved = kNothing;  // since the start: 1 - bytes sent up / bytes received
  double utilisation = kNothing;      // of the cores that event loops have
  double request_cost_us = kNothing;  // CPU time a request or event, since the start
};

// {"goals":[{"id":…,"name":…,"unit":…,"goal":…,"is":"below","measured":…,"met":…,"over":…}]}
std::string goals_json(const Measured& measured);

}  // namespace verge::overview
