#include "node/position.h"

#include <charconv>

#include "base/text.h"
#include "planner/places.h"

namespace verge::node {
namespace {

std::optional<double> degrees_of(std::string_view text) {
  text = trim(text);
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<planner::Coordinates> parse_position(std::string_view text) {
  if (const planner::Place* place = planner::find_place(trim(text))) return place->at;
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::optional<double> latitude = degrees_of(text.substr(0, comma));
  const std::optional<double> longitude = degrees_of(text.substr(comma + 1));
  if (!latitude || !longitude) return std::nullopt;
  const planner::Coordinates at{.latitude = *latitude, .longitude = *longitude};
  return planner::is_on_earth(at) ? std::optional(at) : std::nullopt;
}

}  // namespace verge::node
