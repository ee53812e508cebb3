#include "planner/plan_latencies.h"

#include <algorithm>

namespace verge::planner {

namespace {

constexpr size_t kCalibratingMin = 8;  // pairs; fewer say too little of the world

}  // namespace

PlanLatencies::PlanLatencies(const PlanDocument& plan) : plan_(plan) {
  std::map<std::string, uint32_t> index;
  std::vector<Coordinates> places;
  const auto place = [&](const std::string& name) {
    const auto [entry, fresh] = index.emplace(name, static_cast<uint32_t>(places.size()));
    if (fresh) {
      const auto node = plan.node_named(name);
      places.push_back(node ? plan.nodes[*node].at : plan.users[*plan.user_named(name)].at);
    }
    return entry->second;
  };
  std::vector<MeasuredPair> pairs;
  for (const MeasuredRoundTrip& measured : plan.measurements) {
    if (measured.from == measured.to) continue;
    const bool fresh = measured_.emplace(std::minmax(measured.from, measured.to), measured.round_trip_ms).second;
    if (!fresh || measured.round_trip_ms <= 0) continue;
    const uint32_t from = place(measured.from);
    const uint32_t to = place(measured.to);
    pairs.push_back({from, to, measured.round_trip_ms});
  }
  if (pairs.size() < kCalibratingMin) return;
  Result<Calibration> fitted = Calibration::fit(std::move(places), std::move(pairs));
  if (fitted) calibration_ = std::move(*fitted);
}

PlanLatencies::RoundTrip PlanLatencies::between(const std::string& from, const Coordinates& a, const std::string& to,
                                                const Coordinates& b) const {
  if (!measured_.empty()) {
    if (const auto known = measured_.find(std::minmax(from, to)); known != measured_.end())
      return {known->second, true};
  }
  if (calibration_) return {calibration_->median_ms(a, b), false};
  return {uncalibrated_round_trip(great_circle_km(a, b)).median_ms, false};
}

PlanLatencies::RoundTrip PlanLatencies::between_user_and_node(size_t user, size_t node) const {
  return between(plan_.users[user].name, plan_.users[user].at, plan_.nodes[node].name, plan_.nodes[node].at);
}

PlanLatencies::RoundTrip PlanLatencies::between_nodes(size_t a, size_t b) const {
  if (a == b) return {};
  return between(plan_.nodes[a].name, plan_.nodes[a].at, plan_.nodes[b].name, plan_.nodes[b].at);
}

}  // namespace verge::planner
