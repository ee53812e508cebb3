// SVG pictures of answers: a map of the world with points and lines between them, and bars.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "planner/geography.h"

namespace verge::planner {

struct MapPoint {
  Coordinates at;
  std::string label;
  int group = 0;  // chooses the colour
  double radius = 4;
};

struct MapLine {
  Coordinates from;
  Coordinates to;
  int group = 0;
};

// Degrees as they are (plate carrée), with a graticule of 30 degrees.
std::string draw_map(std::string_view title, const std::vector<MapPoint>& points, const std::vector<MapLine>& lines);

struct Bar {
  std::string label;
  double value = 0;  // not finite: drawn as far as the chart goes
  int group = 0;
};

std::string draw_bars(std::string_view title, std::string_view unit, const std::vector<Bar>& bars);

}  // namespace verge::planner
