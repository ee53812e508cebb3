// The greedy mode of placement: each workload in turn goes to the node with the best weighted score.
//
//     score = .2 cpu + .2 memory + .25 latency + .15 bandwidth + .1 locality + .05 reliability + .05 cost - network
//     cost
//
//     cpu, memory   (capacity - load) / required
//     latency       1 - latency / max
//     bandwidth     min(1, available / required)
//     locality      1 where its data is (or it has none), 0.5 in the data's zone, 0 elsewhere
//     reliability   uptime / 100
//     cost          1 - cost / max cost
//     network cost  required / node's bandwidth · round trip to the data, in seconds
//
// each clamped to 0..1. A node that lacks capacity, is beyond the latency limit, below the uptime asked for, or has
// something it must be apart from, is no candidate.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace verge::planner {

enum Criterion : size_t { kCpu, kMemory, kLatency, kBandwidth, kLocality, kReliability, kCost, kCriteria };
inline constexpr std::array<double, kCriteria> kCriterionWeights = {0.2, 0.2, 0.25, 0.15, 0.1, 0.05, 0.05};
inline constexpr std::array<const char*, kCriteria> kCriterionNames = {
    "cpu", "memory", "latency", "bandwidth", "locality", "reliability", "cost"};

struct SchedulerNode {
  double cpu = 0;
  double memory = 0;
  double bandwidth = 0;
  double uptime = 100;  // percent
  double cost = 0;
  uint32_t zone = 0;
};

struct SchedulerWorkload {
  double cpu = 0;
  double memory = 0;
  double bandwidth = 0;
  double latency_max = 0;  // ms; 0: no limit, and `max` is the largest of its latencies
  double uptime_min = 0;
  unsigned replicas = 1;  // on as many nodes
  bool spread_over_zones = false;
  std::span<const float> latency;        // to each node, ms
  std::span<const float> data_distance;  // to the nearest node with its data, ms; empty: it has none
  std::vector<uint32_t> data;            // nodes
  std::vector<uint32_t> apart_from;      // workloads
};

inline constexpr uint32_t kNowhere = UINT32_MAX;

struct NodeScore {
  uint32_t node = 0;
  double score = 0;
  std::array<double, kCriteria> criteria{};
  double network_cost = 0;
  double estimated_latency = 0;
};

class Scheduler {
 public:
  explicit Scheduler(std::vector<SchedulerNode> nodes);

  // Every replica of the workload onto the best nodes, whose loads rise; `name` is what others' apart_from call it.
  // Nothing is placed when one replica has nowhere to go: then the answer is short.
  std::vector<NodeScore> place(uint32_t name, const SchedulerWorkload& workload);

  // The node with the best score that could take one more replica now, beside those of the same workload on `beside`,
  // among those that `may` lets through, where it is given; kNowhere when there is none.
  [[nodiscard]] uint32_t best_node(uint32_t name, const SchedulerWorkload& workload, std::span<const uint32_t> beside,
                                   const std::function<bool(uint32_t)>& may = {}) const;
  // Whether a replica may be on the node as far as those on `beside` are concerned.
  [[nodiscard]] bool is_beside(uint32_t node, const SchedulerWorkload& workload,
                               std::span<const uint32_t> beside) const;
  // A replica is put onto the node, or taken off it, whatever that does to its load.
  void hold(uint32_t node, uint32_t name, const SchedulerWorkload& workload);
  void release(uint32_t node, uint32_t name, const SchedulerWorkload& workload);

  [[nodiscard]] NodeScore score(uint32_t node, const SchedulerWorkload& workload) const;
  // Whether the node could take a replica now, for each constraint: cpu, memory, bandwidth, latency, uptime, apart.
  [[nodiscard]] unsigned violated(uint32_t node, uint32_t name, const SchedulerWorkload& workload) const;
  [[nodiscard]] const std::vector<SchedulerNode>& nodes() const { return nodes_; }
  [[nodiscard]] double load_of(uint32_t node, Criterion criterion) const;

 private:
  struct Load {
    double cpu = 0;
    double memory = 0;
    double bandwidth = 0;
  };
  double quick_score(uint32_t node, const SchedulerWorkload& workload, double latency_max) const;
  uint32_t best_node(uint32_t name, const SchedulerWorkload& workload, double latency_max,
                     std::span<const uint32_t> beside, const std::function<bool(uint32_t)>& may) const;

  std::vector<SchedulerNode> nodes_;
  std::vector<Load> loads_;
  std::vector<std::vector<uint32_t>> workloads_on_;
  std::vector<bool> is_guarded_;  // somebody on the node wants to be apart from others
  std::vector<std::vector<uint32_t>> apart_on_;
  double cost_max_ = 0;
};

enum Violation : unsigned {
  kLacksCpu = 1,
  kLacksMemory = 2,
  kLacksBandwidth = 4,
  kTooFar = 8,
  kTooUnreliable = 16,
  kMustBeApart = 32,
};

// Why no node can take the workload: the smallest set of its constraints that no node keeps together, in words.
std::string smallest_conflict(const Scheduler& scheduler, uint32_t name, const SchedulerWorkload& workload);

}  // namespace verge::planner
