#include "node/config_origin.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "node/config_position.h"

namespace verge::node {

uint32_t ConfigOrigin::add_source(ConfigSource source) {
  sources_.push_back(std::move(source));
  return static_cast<uint32_t>(sources_.size() - 1);
}

std::string ConfigOrigin::describe(Place place) const {
  if (place.source >= sources_.size()) return {};
  const ConfigSource& source = sources_[place.source];
  if (place.line == 0 || source.kind == ConfigSource::Kind::kOverride) return source.name;
  return fmt::format("{}:{}:{}", source.name, place.line, place.column);
}

std::string ConfigOrigin::place_of(std::string_view key) const {
  while (!key.empty()) {
    if (const auto found = places_.find(key); found != places_.end()) return describe(found->second);
    const size_t dot = key.rfind('.');
    key = key.substr(0, dot == std::string_view::npos ? 0 : dot);
  }
  return {};
}

std::string ConfigOrigin::place_of_given(std::string_view key) const {
  const auto found = places_.find(key);
  return found == places_.end() ? std::string() : describe(found->second);
}

std::string ConfigOrigin::place_of(std::string_view key, std::string_view value, size_t offset) const {
  const auto found = places_.find(key);
  if (found == places_.end()) return place_of(key);
  const Place place = found->second;
  VERGE_ASSERT(place.source < sources_.size());
  const ConfigSource& source = sources_[place.source];
  const Position position = place.line == 0
                                ? position_in_text(source.text, offset)
                                : position_in_string(source.text, {place.line, place.column}, value, offset);
  return fmt::format("{}:{}:{}", source.name, position.line, position.column);
}

}  // namespace verge::node
