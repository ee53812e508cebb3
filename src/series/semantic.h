// Reduction to a model and what departs from it: the series is taken as its usual course over a season plus an offset,
// and an event says from when on the offset is another one. Between events the model speaks.
//
// The model is the mean of each place of the season over the window, on a grid; without a season it is a level.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::series {

// `values` are finite and at least one; tolerance > 0; `season` in readings, 0 for none.
std::string tell_events(std::span<const double> values, double tolerance, size_t season);
std::vector<double> retell(std::string_view bytes, size_t count);

// The number of readings, from 2 to a third of them and 4096 at most, after which the series is most like itself; 0
// where it is not like itself anywhere (autocorrelation below 0.2). Looks at 16,384 readings at most.
size_t dominant_season(std::span<const double> values);

}  // namespace verge::series
