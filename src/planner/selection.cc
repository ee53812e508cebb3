#include "planner/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace verge::planner {

namespace {

// The node between user and node that shortens the way most, if by enough.
void use_best_relay(const SelectionQuery& query, std::span<const double> direct, uint32_t node, double& propagation,
                    std::optional<uint32_t>& relay) {
  double best = direct[node] * (1 - kRelayGain);
  for (uint32_t over = 0; over < query.nodes; ++over) {
    if (over == node || direct[over] >= best) continue;
    const double way = direct[over] + query.between_nodes_ms(over, node);
    if (way > best) continue;
    best = way;
    propagation = way;
    relay = over;
  }
}

}  // namespace

SelectionCandidate score_candidate(uint32_t node, double propagation_ms, double load, double cost) {
  SelectionCandidate candidate{.node = node, .propagation_ms = propagation_ms, .cost = cost};
  const double rho = std::max(0.0, load);
  candidate.processing_ms = rho * kProcessingFactor;
  candidate.queueing_ms = rho >= 1 ? std::numeric_limits<double>::infinity() : rho / (1 - rho) * kQueueingFactor;
  candidate.latency_ms = candidate.propagation_ms + candidate.processing_ms + candidate.queueing_ms;
  candidate.score = candidate.latency_ms * kLatencyShare + cost * kCostShare * kCostScale;
  return candidate;
}

Selection select_nodes(const SelectionQuery& query) {
  Selection selection;
  std::vector<double> direct(query.nodes);
  for (uint32_t node = 0; node < query.nodes; ++node) direct[node] = query.to_node_ms(node);
  for (uint32_t node = 0; node < query.nodes; ++node) {
    double propagation = direct[node];
    std::optional<uint32_t> relay;
    if (query.between_nodes_ms) use_best_relay(query, direct, node, propagation, relay);
    selection.all_candidates.push_back(score_candidate(node, propagation, query.load(node), query.cost(node)));
    selection.all_candidates.back().relay = relay;
  }
  std::ranges::sort(selection.all_candidates, [](const auto& a, const auto& b) {
    return a.score != b.score ? a.score < b.score : a.node < b.node;
  });
  std::vector<const SelectionCandidate*> usable;
  for (const SelectionCandidate& candidate : selection.all_candidates) {
    if (std::isfinite(candidate.score)) usable.push_back(&candidate);
  }
  if (!usable.empty()) selection.primary = *usable[0];
  if (usable.size() > 1) selection.fallback_1 = *usable[1];
  if (usable.size() > 2) selection.fallback_2 = *usable[2];
  if (query.is_plain || usable.size() < 3) return selection;
  const uint32_t zone = query.zone(usable[0]->node);
  if (query.zone(usable[1]->node) != zone) return selection;
  const auto outside =
      std::ranges::find_if(usable, [&](const auto* candidate) { return query.zone(candidate->node) != zone; });
  if (outside != usable.end()) selection.fallback_2 = **outside;
  return selection;
}

}  // namespace verge::planner
