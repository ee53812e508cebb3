// Where replicas go: the k-median of the users' accesses, under what replicas may cost and how far they may lag.
//
// Greedy addition, then exchanges of one replica for another until none helps (Teitz and Bart 1968). The bound is that
// of Cornuéjols, Fisher and Nemhauser (1977): "each user once" relaxed, multipliers by subgradients; for each node that
// could be the first replica by itself, so that it respects the lag.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"

namespace verge::planner {

struct ReplicaProblem {
  size_t nodes = 0;
  size_t users = 0;
  std::vector<double> latency_ms;    // round trip, [node * users + user]
  std::vector<double> between_ms;    // one way, [node * nodes + node]
  std::vector<double> weight;        // accesses of each user
  std::vector<double> storage_cost;  // of a replica, $ a month
  size_t replicas_max = 10;
  double storage_cost_max = 10'000;  // $ a month, all replicas
  double lag_max_ms = 100;           // one way from the first replica to each other
  double coverage_ms = 50;           // a user is covered within it
};

struct ReplicaPlan {
  std::vector<uint32_t> replicas;  // the first takes the writes
  std::vector<uint32_t> serves;    // of each user, its replica's node
  double mean_latency_ms = 0;
  double lag_ms = 0;  // the largest
  double storage_cost = 0;
  double coverage = 0;           // share of accesses, 0 to 1
  double single_latency_ms = 0;  // what the best single replica does
  double single_coverage = 0;
  double bound_ms = 0;  // no choice of so many replicas within lag and budget has a lower mean latency
};

// Errors: plan.infeasible (no node's replica is within the budget).
Result<ReplicaPlan> place_replicas(const ReplicaProblem& problem);

}  // namespace verge::planner
