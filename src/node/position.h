// Where on the Earth something stands, as people write it.
#pragma once

#include <optional>
#include <string_view>

#include "planner/geography.h"

namespace verge::node {

// "51.5, 11.97" (degrees north, degrees east), or a place that planner::find_place() knows, such as "London".
std::optional<planner::Coordinates> parse_position(std::string_view text);

}  // namespace verge::node
