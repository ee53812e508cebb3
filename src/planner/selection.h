// Which node serves whom. Lower scores are better.
//
//     latency = one-way propagation + load · 10 + ρ/(1-ρ) · 0.1      ms; ρ is the load; infinite from ρ = 1
//     score   = latency · 0.7 + cost · 0.3 · 1000
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace verge::planner {

inline constexpr double kProcessingFactor = 10;
inline constexpr double kQueueingFactor = 0.1;
inline constexpr double kLatencyShare = 0.7;
inline constexpr double kCostShare = 0.3;
inline constexpr double kCostScale = 1000;
inline constexpr double kRelayGain = 0.1;  // of the direct path that a relay must save

struct SelectionCandidate {
  uint32_t node = 0;
  std::optional<uint32_t> relay;
  double propagation_ms = 0;  // one way
  double processing_ms = 0;
  double queueing_ms = 0;
  double latency_ms = 0;
  double cost = 0;
  double score = 0;
};

SelectionCandidate score_candidate(uint32_t node, double propagation_ms, double load, double cost);

struct Selection {
  std::optional<SelectionCandidate> primary;
  std::optional<SelectionCandidate> fallback_1;
  std::optional<SelectionCandidate> fallback_2;
  std::vector<SelectionCandidate> all_candidates;  // best first; with infinite latency last
};

struct SelectionQuery {
  size_t nodes = 0;
  std::function<double(uint32_t)> to_node_ms;                  // one way from the user
  std::function<double(uint32_t, uint32_t)> between_nodes_ms;  // one way; empty: no relays
  std::function<double(uint32_t)> load;
  std::function<double(uint32_t)> cost;
  std::function<uint32_t(uint32_t)> zone;  // failure domain
  // By score alone. Otherwise one of the fallbacks is outside the primary's failure domain, where there is one.
  bool is_plain = false;
};

// Nodes that never answer (saturated) are candidates, but are not chosen.
Selection select_nodes(const SelectionQuery& query);

}  // namespace verge::planner
