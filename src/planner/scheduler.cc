#include "planner/scheduler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace verge::planner {

namespace {

constexpr double kInZone = 0.5;      // locality
constexpr double kTolerance = 1e-9;  // of capacities

double share(double available, double required) {
  if (required <= 0) return 1;
  return std::clamp(available / required, 0.0, 1.0);
}

double latency_max_of(const SchedulerWorkload& workload) {
  if (workload.latency_max > 0) return workload.latency_max;
  return workload.latency.empty() ? 0 : *std::ranges::max_element(workload.latency);
}

}  // namespace

Scheduler::Scheduler(std::vector<SchedulerNode> nodes)
    : nodes_(std::move(nodes)),
      loads_(nodes_.size()),
      workloads_on_(nodes_.size()),
      is_guarded_(nodes_.size(), false),
      apart_on_(nodes_.size()) {
  for (const SchedulerNode& node : nodes_) cost_max_ = std::max(cost_max_, node.cost);
}

double Scheduler::load_of(uint32_t node, Criterion criterion) const {
  const Load& load = loads_[node];
  return criterion == kCpu ? load.cpu : criterion == kMemory ? load.memory : load.bandwidth;
}

NodeScore Scheduler::score(uint32_t node, const SchedulerWorkload& workload) const {
  const SchedulerNode& at = nodes_[node];
  const Load& load = loads_[node];
  NodeScore answer{.node = node, .estimated_latency = workload.latency.empty() ? 0 : workload.latency[node]};
  const double most = latency_max_of(workload);
  const double available = at.bandwidth - load.bandwidth;
  auto& criteria = answer.criteria;
  criteria[kCpu] = share(at.cpu - load.cpu, workload.cpu);
  criteria[kMemory] = share(at.memory - load.memory, workload.memory);
  criteria[kLatency] = most > 0 ? std::clamp(1 - answer.estimated_latency / most, 0.0, 1.0) : 1;
  criteria[kBandwidth] = share(available, workload.bandwidth);
  criteria[kLocality] = workload.data.empty() ? 1 : 0;
  for (const uint32_t holder : workload.data) {
    const double nearness = holder == node ? 1 : nodes_[holder].zone == at.zone ? kInZone : 0;
    criteria[kLocality] = std::max(criteria[kLocality], nearness);
  }
  criteria[kReliability] = std::clamp(at.uptime / 100, 0.0, 1.0);
  criteria[kCost] = cost_max_ > 0 ? std::clamp(1 - at.cost / cost_max_, 0.0, 1.0) : 1;
  if (!workload.data_distance.empty() && workload.bandwidth > 0 && at.bandwidth > 0) {
    answer.network_cost = workload.bandwidth / at.bandwidth * workload.data_distance[node] / 1000;
  }
  for (size_t i = 0; i < kCriteria; ++i) answer.score += kCriterionWeights[i] * criteria[i];
  answer.score -= answer.network_cost;
  return answer;
}

unsigned Scheduler::violated(uint32_t node, uint32_t name, const SchedulerWorkload& workload) const {
  const SchedulerNode& at = nodes_[node];
  const Load& load = loads_[node];
  unsigned violations = 0;
  if (load.cpu + workload.cpu > at.cpu * (1 + kTolerance)) violations |= kLacksCpu;
  if (load.memory + workload.memory > at.memory * (1 + kTolerance)) violations |= kLacksMemory;
  if (load.bandwidth + workload.bandwidth > at.bandwidth * (1 + kTolerance)) violations |= kLacksBandwidth;
  if (workload.latency_max > 0 && !workload.latency.empty() && workload.latency[node] > workload.latency_max) {
    violations |= kTooFar;
  }
  if (at.uptime < workload.uptime_min) violations |= kTooUnreliable;
  const auto holds = [](const std::vector<uint32_t>& list, uint32_t wanted) {
    return std::ranges::find(list, wanted) != list.end();
  };
  if (!workload.apart_from.empty() &&
      std::ranges::any_of(workloads_on_[node], [&](uint32_t other) { return holds(workload.apart_from, other); })) {
    violations |= kMustBeApart;
  }
  if (is_guarded_[node] && holds(apart_on_[node], name)) violations |= kMustBeApart;
  return violations;
}

// score(), without its breakdown: what the choice among many nodes needs.
double Scheduler::quick_score(uint32_t node, const SchedulerWorkload& workload, double latency_max) const {
  const SchedulerNode& at = nodes_[node];
  const Load& load = loads_[node];
  double locality = workload.data.empty() ? 1 : 0;
  for (const uint32_t holder : workload.data) {
    locality = std::max(locality, holder == node ? 1 : nodes_[holder].zone == at.zone ? kInZone : 0);
  }
  const double latency = workload.latency.empty() ? 0 : workload.latency[node];
  double score = kCriterionWeights[kCpu] * share(at.cpu - load.cpu, workload.cpu) +
                 kCriterionWeights[kMemory] * share(at.memory - load.memory, workload.memory) +
                 kCriterionWeights[kLatency] * (latency_max > 0 ? std::clamp(1 - latency / latency_max, 0.0, 1.0) : 1) +
                 kCriterionWeights[kBandwidth] * share(at.bandwidth - load.bandwidth, workload.bandwidth) +
                 kCriterionWeights[kLocality] * locality + kCriterionWeights[kReliability] * at.uptime / 100 +
                 kCriterionWeights[kCost] * (cost_max_ > 0 ? 1 - at.cost / cost_max_ : 1);
  if (!workload.data_distance.empty() && workload.bandwidth > 0 && at.bandwidth > 0) {
    score -= workload.bandwidth / at.bandwidth * workload.data_distance[node] / 1000;
  }
  return score;
}

void Scheduler::hold(uint32_t node, uint32_t name, const SchedulerWorkload& workload) {
  loads_[node].cpu += workload.cpu;
  loads_[node].memory += workload.memory;
  loads_[node].bandwidth += workload.bandwidth;
  workloads_on_[node].push_back(name);
  apart_on_[node].insert(apart_on_[node].end(), workload.apart_from.begin(), workload.apart_from.end());
  is_guarded_[node] = !apart_on_[node].empty();
}

void Scheduler::release(uint32_t node, uint32_t name, const SchedulerWorkload& workload) {
  loads_[node].cpu -= workload.cpu;
  loads_[node].memory -= workload.memory;
  loads_[node].bandwidth -= workload.bandwidth;
  const auto forget = [](std::vector<uint32_t>& list, uint32_t entry) {
    const auto found = std::ranges::find(list, entry);
    if (found == list.end()) return;
    *found = list.back();
    list.pop_back();
  };
  forget(workloads_on_[node], name);
  for (const uint32_t other : workload.apart_from) forget(apart_on_[node], other);
  is_guarded_[node] = !apart_on_[node].empty();
}

bool Scheduler::is_beside(uint32_t node, const SchedulerWorkload& workload, std::span<const uint32_t> beside) const {
  return std::ranges::none_of(beside, [&](uint32_t other) {
    return other == node || (workload.spread_over_zones && nodes_[other].zone == nodes_[node].zone);
  });
}

uint32_t Scheduler::best_node(uint32_t name, const SchedulerWorkload& workload, std::span<const uint32_t> beside,
                              const std::function<bool(uint32_t)>& may) const {
  return best_node(name, workload, latency_max_of(workload), beside, may);
}

uint32_t Scheduler::best_node(uint32_t name, const SchedulerWorkload& workload, double latency_max,
                              std::span<const uint32_t> beside, const std::function<bool(uint32_t)>& may) const {
  double best = -1e300;
  uint32_t where = kNowhere;
  for (uint32_t node = 0; node < nodes_.size(); ++node) {
    const double score = quick_score(node, workload, latency_max);
    if (score <= best || violated(node, name, workload) != 0 || !is_beside(node, workload, beside)) continue;
    if (may && !may(node)) continue;
    best = score;
    where = node;
  }
  return where;
}

std::vector<NodeScore> Scheduler::place(uint32_t name, const SchedulerWorkload& workload) {
  std::vector<NodeScore> placed;
  std::vector<uint32_t> beside;
  const double latency_max = latency_max_of(workload);
  for (unsigned replica = 0; replica < workload.replicas; ++replica) {
    const uint32_t where = best_node(name, workload, latency_max, beside, {});
    if (where == kNowhere) {
      for (const uint32_t node : beside) release(node, name, workload);
      return {};
    }
    placed.push_back(score(where, workload));
    beside.push_back(where);
    hold(where, name, workload);
  }
  return placed;
}

std::string smallest_conflict(const Scheduler& scheduler, uint32_t name, const SchedulerWorkload& workload) {
  constexpr std::array<const char*, 6> kWords = {
      "cpu", "memory", "bandwidth", "the latency limit", "uptime", "what it must be apart from"};
  std::vector<unsigned> violations;
  for (uint32_t node = 0; node < scheduler.nodes().size(); ++node) {
    violations.push_back(scheduler.violated(node, name, workload));
  }
  // A set of constraints conflicts when every node violates one of it. Of 64 sets, the smallest.
  unsigned smallest = 0;
  for (unsigned set = 1; set < 64; ++set) {
    const bool conflicts = std::ranges::all_of(violations, [&](unsigned violated) { return (violated & set) != 0; });
    if (conflicts && (smallest == 0 || std::popcount(set) < std::popcount(smallest))) smallest = set;
  }
  if (smallest == 0) {
    return workload.spread_over_zones ? fmt::format("{} replicas, each in a zone of its own", workload.replicas)
                                      : fmt::format("{} replicas, each on a node of its own", workload.replicas);
  }
  std::vector<std::string_view> words;
  for (size_t i = 0; i < kWords.size(); ++i) {
    if ((smallest >> i & 1U) != 0) words.emplace_back(kWords[i]);
  }
  return fmt::format("{}", fmt::join(words, " and "));
}

}  // namespace verge::planner
