#include "planner/scheduler.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/placement.h"

namespace verge::planner {
namespace {

TEST(Scheduler, ScoreByHand) {
  const Scheduler scheduler({{.cpu = 4, .memory = 8, .bandwidth = 100, .uptime = 99, .cost = 1, .zone = 0},
                             {.cpu = 1, .memory = 8, .bandwidth = 50, .uptime = 90, .cost = 2, .zone = 0}});
  const std::vector<float> latency = {20, 5};
  const std::vector<float> to_data = {0, 10};
  const SchedulerWorkload workload{.cpu = 2,
                                   .memory = 4,
                                   .bandwidth = 100,
                                   .latency_max = 50,
                                   .latency = latency,
                                   .data_distance = to_data,
                                   .data = {0}};
  const NodeScore first = scheduler.score(0, workload);
  // cpu 4/2 -> 1, memory 1, latency 1 - 20/50 = .6, bandwidth 1, locality 1, reliability .99, cost 1 - 1/2 = .5
  EXPECT_NEAR(first.score, .2 + .2 + .25 * .6 + .15 + .1 + .05 * .99 + .05 * .5, 1e-9);
  EXPECT_EQ(first.estimated_latency, 20);
  // cpu .5, memory 1, latency .9, bandwidth .5, locality .5 (the zone's), reliability .9, cost 0; 100/50 * 10 ms to the
  // data
  const NodeScore second = scheduler.score(1, workload);
  EXPECT_NEAR(second.network_cost, 0.02, 1e-9);
  EXPECT_NEAR(second.score, .2 * .5 + .2 + .25 * .9 + .15 * .5 + .1 * .5 + .05 * .9 - 0.02, 1e-6);
}

TEST(Scheduler, CapacityIsNeverExceededAndWhatMustBeApartIs) {
  Random random(31);
  for (int round = 0; round < 50; ++round) {
    std::vector<SchedulerNode> nodes;
    for (uint32_t i = 0; i < 12; ++i)
      nodes.push_back(
          {.cpu = 8 + random.unit() * 8, .memory = 16, .bandwidth = 100, .cost = random.unit(), .zone = i % 4});
    Scheduler scheduler(nodes);
    std::vector<float> latency(nodes.size());
    for (float& each : latency) each = static_cast<float>(random.unit() * 50);
    std::vector<std::vector<uint32_t>> where(40);
    for (uint32_t name = 0; name < 40; ++name) {
      SchedulerWorkload workload{.cpu = random.unit() * 4,
                                 .memory = random.unit() * 6,
                                 .bandwidth = random.unit() * 20,
                                 .latency_max = 40,
                                 .replicas = 1 + static_cast<unsigned>(random.below(3)),
                                 .spread_over_zones = random.chance(0.5),
                                 .latency = latency};
      if (name > 0 && random.chance(0.4)) workload.apart_from = {static_cast<uint32_t>(random.below(name))};
      const std::vector<NodeScore> placed = scheduler.place(name, workload);
      EXPECT_TRUE(placed.empty() || placed.size() == workload.replicas);
      for (const NodeScore& score : placed) {
        EXPECT_LE(latency[score.node], 40);
        for (const uint32_t other : workload.apart_from) EXPECT_EQ(std::ranges::count(where[other], score.node), 0);
        where[name].push_back(score.node);
      }
      for (size_t a = 0; a < placed.size(); ++a) {
        for (size_t b = a + 1; b < placed.size(); ++b) {
          EXPECT_NE(placed[a].node, placed[b].node);
          if (workload.spread_over_zones) {
            EXPECT_NE(nodes[placed[a].node].zone, nodes[placed[b].node].zone);
          }
        }
      }
    }
    for (uint32_t node = 0; node < nodes.size(); ++node) {
      EXPECT_LE(scheduler.load_of(node, kCpu), nodes[node].cpu * (1 + 1e-6));
      EXPECT_LE(scheduler.load_of(node, kMemory), nodes[node].memory * (1 + 1e-6));
      EXPECT_LE(scheduler.load_of(node, kBandwidth), nodes[node].bandwidth * (1 + 1e-6));
    }
  }
}

TEST(Scheduler, TheSmallestConflictIsNamed) {
  const Scheduler scheduler({{.cpu = 1, .memory = 64, .bandwidth = 10}, {.cpu = 64, .memory = 64, .bandwidth = 10}});
  const std::vector<float> latency = {5, 90};
  // The near node lacks cpu, the far one is beyond the limit: neither constraint alone conflicts.
  EXPECT_EQ(smallest_conflict(scheduler, 0, {.cpu = 2, .memory = 1, .latency_max = 50, .latency = latency}),
            "cpu and the latency limit");
  EXPECT_EQ(smallest_conflict(scheduler, 0, {.cpu = 200, .memory = 1, .latency_max = 50, .latency = latency}), "cpu");
  EXPECT_EQ(smallest_conflict(scheduler, 0, {.cpu = 2, .memory = 1, .bandwidth = 11, .latency = latency}), "bandwidth");
}

PlanDocument small_plan() {
  PlanDocument plan;
  plan.nodes = {{.name = "near", .at = {50, 8}, .zone = "a", .cpu = 4, .memory_gb = 16, .origin = {"p.toml", 1}},
                {.name = "far", .at = {40, -74}, .zone = "b", .cpu = 64, .memory_gb = 256, .origin = {"p.toml", 5}}};
  plan.users = {{.name = "u", .at = {50.1, 8.1}, .origin = {"p.toml", 9}}};
  plan.workloads = {{.name = "w", .cpu = 2, .memory_gb = 2, .origin = {"p.toml", 12}}};
  return plan;
}

TEST(Placement, EveryModePutsAWorkloadNearItsUser) {
  for (const PlacementMode mode : {PlacementMode::kGreedy, PlacementMode::kAnytime}) {
    const Result<Placement> placement =
        place_workloads(small_plan(), {.mode = mode, .time = std::chrono::milliseconds(300)});
    ASSERT_TRUE(placement) << placement.error().line();
    ASSERT_EQ(placement->replicas.size(), 1U);
    EXPECT_EQ(placement->replicas[0].node, 0U);
    EXPECT_LE(placement->bound, placement->value * (1 + 1e-9));
  }
}

TEST(Placement, AMoveMustGainMoreThanItsPrice) {
  PlanDocument plan = small_plan();
  plan.nodes[1].at = {50.3, 8.3};
  plan.workloads[0].current = {"far"};
  const PlacementOptions options{.time = std::chrono::milliseconds(300)};
  plan.workloads[0].move_cost = 100;
  Result<Placement> placement = place_workloads(plan, options);
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->replicas[0].node, 1U);
  EXPECT_TRUE(placement->moves.empty());
  plan.workloads[0].move_cost = 0;
  placement = place_workloads(plan, {.time = std::chrono::milliseconds(300), .hysteresis = 0});
  ASSERT_TRUE(placement);
  ASSERT_EQ(placement->moves.size(), 1U);
  EXPECT_EQ(placement->moves[0].from, "far");
  EXPECT_GT(placement->moves[0].gain_ms, 0);
}

TEST(Placement, WhatIsInfeasibleIsNamedWithItsLine) {
  PlanDocument plan = small_plan();
  plan.workloads[0].cpu = 8;
  plan.workloads[0].latency_max_ms = 20;
  Result<Placement> placement = place_workloads(plan, {});
  ASSERT_FALSE(placement);
  EXPECT_EQ(placement.error().what,
            "p.toml:12: workload 'w' fits nowhere; what cannot be kept together: cpu and the latency limit");
  plan = small_plan();
  plan.workloads[0].replicas = 3;
  placement = place_workloads(plan, {});
  ASSERT_FALSE(placement);
  EXPECT_NE(placement.error().what.find("3 replicas and 2 node(s)"), std::string::npos);
}

}  // namespace
}  // namespace verge::planner
