// Goals: the figures that say whether it is worth having, with what is measured now.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "overview/figures.h"

namespace verge::overview {

// What is measured; NaN: nothing to measure yet.
struct Measured {
  double request_p50_ms = kNothing;  // over the last minute
  double request_p99_ms = kNothing;
  double edge_hit_ratio = kNothing;
  double availability = kNothing;     // requests that were answered, of all since the start
  double lag_ms = kNothing;           // of the oldest record that waits for the parent
  double bandwidth_saved = kNothing;  // since the start: 1 - bytes sent up / bytes received
  double utilisation = kNothing;      // of the cores that event loops have
  double request_cost_us = kNothing;  // CPU time a request or event, since the start
};

// {"goals":[{"id":…,"name":…,"unit":…,"goal":…,"is":"below","measured":…,"met":…,"over":…}]}
std::string goals_json(const Measured& measured);

}  // namespace verge::overview
