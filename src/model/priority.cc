#include "model/priority.h"

namespace verge {
namespace {

constexpr std::array<std::string_view, 4> kPriorityNames = {"critical", "high", "normal", "low"};
constexpr std::array<std::string_view, 4> kTierNames = {"device", "edge", "fog", "cloud"};

template <class E, size_t N>
std::optional<E> parse(const std::array<std::string_view, N>& names, std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(Priority priority) { return kPriorityNames[static_cast<size_t>(priority)]; }
std::optional<Priority> parse_priority(std::string_view name) { return parse<Priority>(kPriorityNames, name); }
std::string_view name_of(Tier tier) { return kTierNames[static_cast<size_t>(tier)]; }
std::optional<Tier> parse_tier(std::string_view name) { return parse<Tier>(kTierNames, name); }

}  // namespace verge
