// How soon an event must be at the top of the tree. Each priority is a stream of its own in the spool and on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace verge {

enum class Priority : uint8_t { kCritical = 0, kHigh = 1, kNormal = 2, kLow = 3 };

inline constexpr std::array kPriorities = {Priority::kCritical, Priority::kHigh, Priority::kNormal, Priority::kLow};

std::string_view name_of(Priority priority);
std::optional<Priority> parse_priority(std::string_view name);

// Where in the tree a node stands, lowest first.
enum class Tier : uint8_t { kDevice, kEdge, kFog, kCloud };

std::string_view name_of(Tier tier);
std::optional<Tier> parse_tier(std::string_view name);

}  // namespace verge
