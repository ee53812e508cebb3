// Places that need no coordinates: the regions of the big clouds and large cities, from what their operators and
// gazetteers publish. A region stands where its provider says its data centres are, to within a metropolitan area.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "planner/geography.h"

namespace verge::planner {

enum class PlaceKind { kAws, kGcp, kAzure, kCity };

struct Place {
  std::string_view name;
  PlaceKind kind;
  Coordinates at;
  double population_millions;  // of a city and its surroundings; 0 for regions
};

std::span<const Place> known_places();

// "us-east-1", "London", or a short name that papers use ("VA", "JP"); case does not matter. Nothing when unknown.
const Place* find_place(std::string_view name);

std::string_view kind_name(PlaceKind kind);

}  // namespace verge::planner
