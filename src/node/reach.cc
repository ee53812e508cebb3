#include "node/reach.h"

#include <algorithm>

namespace verge::node {
namespace {

constexpr std::array<Duration, 4> kUsual = {std::chrono::milliseconds(0), std::chrono::milliseconds(1),
                                            std::chrono::milliseconds(10), std::chrono::milliseconds(50)};
constexpr int kWeightOfPast = 3;  // to one of what is new

}  // namespace

void Reach::parent_is(Tier tier, Duration round_trip, MonotonicTime now) {
  parent_ = tier;
  reported_ = {.took = round_trip, .at = now};
}

void Reach::measured(std::optional<Tier> level, Duration took, MonotonicTime now) {
  const Duration before = expected(level, now);
  measures_[index_of(level)] = {.took = (kWeightOfPast * before + took) / (kWeightOfPast + 1), .at = now};
}

Duration Reach::expected(std::optional<Tier> level, MonotonicTime now) const {
  const auto counts = [now](const Measure& measure) { return measure.at && now - *measure.at < kCountsFor; };
  const Measure& own = measures_[index_of(level)];
  if (counts(own)) return own.took;
  const bool is_of_parent = !level || level == parent_;
  const Duration of_parent = counts(reported_) ? reported_.took : Duration(0);
  if (is_of_parent && counts(reported_)) return of_parent;
  return level ? std::max(kUsual[static_cast<size_t>(*level)], of_parent) : of_parent;
}

Placement Reach::place(std::optional<Tier> wanted, Duration left, bool has_parent, MonotonicTime now) const {
  if (wanted && *wanted <= own_) return {.where = Placement::Where::kHere, .level = {}};
  if (!has_parent) return {.where = Placement::Where::kNowhere, .level = {}, .is_replaced = true};
  if (expected(wanted, now) < left) return {.where = Placement::Where::kUp, .level = wanted};
  // Levels between: where the parent is beyond them, they are not there.
  const Tier least = parent_ && *parent_ > own_ ? *parent_ : static_cast<Tier>(static_cast<int>(own_) + 1);
  for (int level = wanted ? static_cast<int>(*wanted) - 1 : -1; level >= static_cast<int>(least); --level) {
    const auto tier = static_cast<Tier>(level);
    if (expected(tier, now) < left) return {.where = Placement::Where::kUp, .level = tier, .is_replaced = true};
  }
  return {.where = Placement::Where::kNowhere, .level = {}, .is_replaced = true};
}

}  // namespace verge::node
