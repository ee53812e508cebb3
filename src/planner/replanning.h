// Greedy placement from the last one: workloads stay where they run unless a move is worth its price.
//
// First what runs is held where it is, as far as its node still suits it, so that nobody loses its place to a workload
// that comes earlier in the file. Then each workload in turn: a replica that runs moves to the node with the best score
// among those that gain more milliseconds than the move costs, where that score is above its own node's; what has no
// place yet goes to the best score. At last two replicas change places where they gain more together than their moves
// cost. When new workloads find no room beside what is held, places are not held but taken in turn.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "planner/scheduler.h"

namespace verge::planner {

struct Replanning {
  std::span<const SchedulerNode> nodes;
  std::span<const SchedulerWorkload> workloads;
  std::vector<std::vector<uint32_t>> current;  // nodes that each workload runs on; empty: it is new
  std::function<double(uint32_t, uint32_t)>
      price;  // ms that a replica of a workload costs on a node more than its latency
};

// The nodes of each workload's replicas; nothing when somebody finds no room either way.
std::optional<std::vector<std::vector<uint32_t>>> replan(const Replanning& question);

}  // namespace verge::planner
