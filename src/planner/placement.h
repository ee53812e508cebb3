// Workloads onto nodes, in any of the three modes, from a plan; and the next plan from the last one.
//
// A replica on another node than its workload runs on costs a move. Replanning leaves a workload where it is unless the
// gain is beyond that price and beyond a hysteresis.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "planner/anytime.h"
#include "planner/plan_document.h"
#include "planner/scheduler.h"

namespace verge::planner {

enum class PlacementMode { kGreedy, kExact, kAnytime };

struct PlacementOptions {
  PlacementMode mode = PlacementMode::kAnytime;
  std::chrono::duration<double> time{5};
  unsigned threads = 2;
  uint64_t seed = 1;
  double hysteresis = 0.1;  // of a replica's latency, that a move must gain beyond its price
};

struct PlacedReplica {
  size_t workload = 0;
  size_t node = 0;
  double estimated_latency_ms = 0;  // of its users, weighted, and to its data
  NodeScore score;
};

struct PlacementMove {
  size_t workload = 0;
  std::string from;  // empty: it is new
  size_t to = 0;
  double gain_ms = 0;
  double price_ms = 0;  // what the move costs, hysteresis included; 0 for what is new
  std::string reason;
};

struct Placement {
  std::vector<PlacedReplica> replicas;
  std::vector<PlacementMove> moves;
  double value = 0;  // Σ latency + Σ opening cost + prices of moves
  double bound = 0;
  bool is_optimal = false;
};

// Errors: plan.infeasible, which names a small set of constraints that cannot be kept together; plan.solver.
Result<Placement> place_workloads(const PlanDocument& plan, const PlacementOptions& options);

}  // namespace verge::planner
