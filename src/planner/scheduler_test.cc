#include "planner/scheduler.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/conflict.h"
#include "planner/placement.h"
#include "planner/priced_bound.h"
#include "tests/support/value_of.h"

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

TEST(Placement, GreedyPricesMovesToo) {
  PlanDocument plan = small_plan();
  plan.nodes[1].at = {50.3, 8.3};  // some ms from the user, the near one is less
  plan.workloads[0].current = {"far"};
  const auto moves = [&](double move_cost, double hysteresis) {
    plan.workloads[0].move_cost = move_cost;
    const Result<Placement> placement =
        place_workloads(plan, {.mode = PlacementMode::kGreedy, .hysteresis = hysteresis});
    EXPECT_TRUE(placement) << placement.error().line();
    EXPECT_LE(placement->bound, placement->value * (1 + 1e-9));
    return placement->moves;
  };
  EXPECT_TRUE(moves(100, 0).empty());
  EXPECT_TRUE(moves(0, 10).empty());
  const std::vector<PlacementMove> moved = moves(0, 0);
  ASSERT_EQ(moved.size(), 1U);
  EXPECT_EQ(moved[0].from, "far");
  EXPECT_GT(moved[0].gain_ms, moved[0].price_ms);
  EXPECT_NE(moved[0].reason.find("beyond the 0.0 ms that the move costs"), std::string::npos) << moved[0].reason;
}

// Two nodes that hold one workload each, and two workloads that are each near to the other's node.
PlanDocument crossed_plan() {
  PlanDocument plan;
  plan.nodes = {{.name = "east", .at = {50, 20}, .zone = "a", .cpu = 2, .origin = {"p.toml", 1}},
                {.name = "west", .at = {50, 0}, .zone = "b", .cpu = 2, .origin = {"p.toml", 5}}};
  plan.users = {{.name = "e", .at = {50, 20.1}, .origin = {"p.toml", 9}},
                {.name = "w", .at = {50, 0.1}, .origin = {"p.toml", 10}}};
  for (const char* name : {"of-e", "of-w"})
    plan.workloads.push_back({.name = name, .cpu = 2, .origin = {"p.toml", 12}});
  plan.workloads[0].users = {"e"};
  plan.workloads[1].users = {"w"};
  plan.workloads[0].current = {"west"};
  plan.workloads[1].current = {"east"};
  return plan;
}

TEST(Placement, GreedyLetsTwoChangePlacesWhereBothGainMoreThanTheyCost) {
  PlanDocument plan = crossed_plan();
  Result<Placement> placement = place_workloads(plan, {.mode = PlacementMode::kGreedy});
  ASSERT_TRUE(placement) << placement.error().line();
  EXPECT_EQ(placement->moves.size(), 2U);
  EXPECT_EQ(placement->replicas[0].node, 0U);
  for (PlanWorkload& workload : plan.workloads) workload.move_cost = 1000;
  placement = place_workloads(plan, {.mode = PlacementMode::kGreedy});
  ASSERT_TRUE(placement) << placement.error().line();
  EXPECT_TRUE(placement->moves.empty());
}

TEST(Placement, GreedyTakesNobodysPlaceForAWorkloadThatComesEarlier) {
  PlanDocument plan = crossed_plan();
  plan.nodes.push_back({.name = "third", .at = {50, 10}, .zone = "c", .cpu = 2, .origin = {"p.toml", 7}});
  plan.workloads[0].current = {};  // new, and the east is its best place; but who runs there stays
  plan.workloads[1].users = {"e"};
  const Result<Placement> placement = place_workloads(plan, {.mode = PlacementMode::kGreedy});
  ASSERT_TRUE(placement) << placement.error().line();
  EXPECT_EQ(placement->replicas[1].node, 0U);
  ASSERT_EQ(placement->moves.size(), 1U);
  EXPECT_EQ(placement->moves[0].reason, "it is new");
  // Without the third node and with room in the west, it is the same; without room, somebody has to go.
  plan.nodes.pop_back();
  plan.nodes[0].cpu = 2;
  plan.workloads.push_back({.name = "third", .cpu = 2, .origin = {"p.toml", 20}});
  EXPECT_FALSE(place_workloads(plan, {.mode = PlacementMode::kGreedy}));
}

TEST(Placement, GreedyReplanningKeepsToTheRuleAndToAllLimits) {
  Random random(35);
  int stayed = 0;
  int moved = 0;
  for (int round = 0; round < 60; ++round) {
    const double cpu = round % 2 == 0 ? 30 : 6;  // room for all, or hardly
    PlanDocument plan;
    for (int i = 0; i < 6; ++i) {
      plan.nodes.push_back({.name = "n" + std::to_string(i),
                            .at = {random.unit() * 60, random.unit() * 60},
                            .zone = "z" + std::to_string(i % 3),
                            .cpu = cpu,
                            .origin = {"p", 1}});
      plan.users.push_back(
          {.name = "u" + std::to_string(i), .at = {random.unit() * 60, random.unit() * 60}, .origin = {"p", 1}});
    }
    for (int i = 0; i < 8; ++i) {
      PlanWorkload workload{.name = "w" + std::to_string(i), .cpu = 1 + random.unit(), .origin = {"p", 1}};
      workload.users = {"u" + std::to_string(random.below(6))};
      workload.replicas = 1 + static_cast<unsigned>(random.below(2));
      workload.spread_over_zones = random.chance(0.3);
      workload.move_cost = random.unit() * 20;
      const size_t first = random.below(6);
      if (random.chance(0.8)) workload.current.push_back("n" + std::to_string(first));
      if (random.chance(0.4)) workload.current.push_back("n" + std::to_string((first + 1) % 6));
      plan.workloads.push_back(workload);
    }
    const Result<Placement> placement = place_workloads(plan, {.mode = PlacementMode::kGreedy});
    if (!placement) continue;
    std::vector<double> load(6, 0);
    for (const PlacedReplica& replica : placement->replicas) load[replica.node] += plan.workloads[replica.workload].cpu;
    for (const double sum : load) EXPECT_LE(sum, cpu * (1 + 1e-9));
    EXPECT_LE(placement->bound, placement->value * (1 + 1e-9));
    for (const PlacementMove& move : placement->moves) {
      if (move.from.empty()) continue;
      ++moved;
      // With room for all nobody has to go.
      if (cpu > 6) EXPECT_GT(move.gain_ms, move.price_ms) << round;
    }
    stayed += static_cast<int>(placement->replicas.size() - placement->moves.size());
  }
  EXPECT_GT(stayed, 100);
  EXPECT_GT(moved, 20);
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

TEST(Placement, WorkloadsThatConflictAreNamedEachWithItsLine) {
  PlanDocument plan = small_plan();
  plan.workloads.clear();
  // Three that only the near node suits and that together want more than its 4 cpu; and one that has nothing to do with
  // it.
  for (size_t i = 0; i < 3; ++i) {
    plan.workloads.push_back({.name = "near" + std::to_string(i),
                              .cpu = i == 0 ? 1.0 : 2.5,
                              .latency_max_ms = 20,
                              .origin = {"p.toml", 20 + i}});
  }
  plan.workloads.push_back({.name = "bystander", .cpu = 30, .origin = {"p.toml", 30}});
  for (const PlacementMode mode : {PlacementMode::kGreedy, PlacementMode::kAnytime}) {
    const Result<Placement> placement = place_workloads(plan, {.mode = mode, .time = std::chrono::milliseconds(100)});
    ASSERT_FALSE(placement);
    EXPECT_EQ(
        placement.error().what,
        "p.toml:21: 'near1' (p.toml:21), 'near2' (p.toml:22) together want 5 of cpu; the 1 node(s) that suit them "
        "(near) have 4 free");
    EXPECT_EQ(placement.error().fix,
              "give these nodes 1 more of cpu, let one of the workloads onto others, or take one out");
  }
}

TEST(Placement, AConflictThatCountingDoesNotShowIsFoundBySearch) {
  PlanDocument plan = small_plan();
  plan.workloads.clear();
  // Each fits, together they want less than there is, but two of them must be apart on the near node.
  plan.workloads.push_back({.name = "a", .latency_max_ms = 20, .apart_from = {"b"}, .origin = {"p.toml", 20}});
  plan.workloads.push_back({.name = "b", .latency_max_ms = 20, .origin = {"p.toml", 24}});
  plan.workloads.push_back({.name = "c", .origin = {"p.toml", 28}});
  const Result<Placement> placement = place_workloads(plan, {.time = std::chrono::milliseconds(100)});
  ASSERT_FALSE(placement);
  EXPECT_EQ(
      placement.error().what,
      "p.toml:20: 'a' (p.toml:20), 'b' (p.toml:24) cannot all be placed on the 1 node(s) that suit them (near); in "
      "the way: replicas, spread_over_zones or apart_from");
}

// Whether the jobs fit, by enumeration.
bool fit(const AssignmentProblem& problem, const std::vector<uint32_t>& jobs) {
  std::vector<uint32_t> where(jobs.size(), 0);
  while (true) {
    std::vector<double> load(problem.agents, 0);
    bool is_possible = true;
    for (size_t i = 0; i < jobs.size(); ++i) {
      load[where[i]] += problem.weight_of(0, where[i], jobs[i]);
      is_possible = is_possible && std::isfinite(problem.cost_of(where[i], jobs[i])) &&
                    load[where[i]] <= problem.capacity_of(0, where[i]);
    }
    if (is_possible) return true;
    size_t i = 0;
    while (i < jobs.size() && ++where[i] == problem.agents) where[i++] = 0;
    if (i == jobs.size()) return false;
  }
}

TEST(Conflict, IsOneAndNothingInItCanBeSpared) {
  Random random(33);
  int conflicts = 0;
  for (int round = 0; round < 200; ++round) {
    AssignmentProblem problem{.agents = 3, .jobs = 6};
    for (int i = 0; i < 18; ++i) problem.cost.push_back(random.chance(0.4) ? kForbidden : 1);
    std::vector<double> weights;
    for (int i = 0; i < 6; ++i) weights.push_back(static_cast<double>(1 + random.below(9)));
    for (int i = 0; i < 3; ++i) problem.weight.insert(problem.weight.end(), weights.begin(), weights.end());
    problem.capacity = {10, 10, 10};
    std::vector<uint32_t> all = {0, 1, 2, 3, 4, 5};
    const std::optional<Conflict> conflict = find_conflict(problem);
    ASSERT_EQ(conflict.has_value(), !fit(problem, all)) << round;
    if (!conflict) continue;
    ++conflicts;
    EXPECT_FALSE(fit(problem, conflict->jobs));
    for (size_t i = 0; i < conflict->jobs.size() && conflict->there == 0; ++i) {
      std::vector<uint32_t> fewer = conflict->jobs;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_TRUE(fit(problem, fewer));
    }
  }
  EXPECT_GT(conflicts, 50);
}

TEST(Placement, TheBoundOfReplicasIsTheBestValueWhereThereIsRoom) {
  PlanDocument plan = small_plan();
  plan.nodes.push_back({.name = "farther", .at = {-33, 151}, .zone = "b", .origin = {"p.toml", 6}});
  plan.workloads[0].replicas = 2;
  for (const PlacementMode mode : {PlacementMode::kGreedy, PlacementMode::kAnytime}) {
    for (const bool zones : {false, true}) {
      plan.workloads[0].spread_over_zones = zones;
      const Result<Placement> placement = place_workloads(plan, {.mode = mode, .time = std::chrono::milliseconds(300)});
      ASSERT_TRUE(placement) << placement.error().line();
      EXPECT_NEAR(placement->bound, placement->value, 1e-6 * placement->value);
      EXPECT_TRUE(placement->is_optimal);
    }
  }
}

TEST(Conflict, WhatWeighsTooMuchEverywhereIsOneByItself) {
  AssignmentProblem problem{.agents = 2, .jobs = 2, .cost = {1, 1, 1, 1}, .weight = {1, 9, 1, 8}, .capacity = {7, 6}};
  const Conflict conflict = tests::value_of(find_conflict(problem));
  EXPECT_EQ(conflict.jobs, (std::vector<uint32_t>{1}));
}

TEST(Conflict, ThreeHalvesOnTwoAgentsAreFoundAmongMany) {
  // Three jobs of 6 on two agents of 10, beside a hundred that weigh nothing to speak of: counting does not see it.
  AssignmentProblem problem{.agents = 2, .jobs = 103};
  for (size_t agent = 0; agent < 2; ++agent) {
    for (size_t job = 0; job < 103; ++job) {
      problem.cost.push_back(1);
      problem.weight.push_back(job % 40 == 20 ? 6 : 0.001);  // 20, 60, 100
    }
  }
  problem.capacity = {10, 10};
  const Conflict conflict = tests::value_of(find_conflict(problem));
  EXPECT_EQ(conflict.jobs, (std::vector<uint32_t>{20, 60, 100}));
  EXPECT_EQ(conflict.there, 0);
}

TEST(Conflict, RelaxationProvesWhatNeitherCountingNorBacktrackingDoes) {
  // Each agent likes other jobs: by least weights all fit, but no agent has room for what it would have to take.
  Random random(36);
  AssignmentProblem problem{.agents = 5, .jobs = 60};
  double sum = 0;
  for (size_t i = 0; i < 300; ++i) {
    problem.cost.push_back(1);
    problem.weight.push_back(static_cast<double>(10 + random.below(40)));
  }
  for (size_t job = 0; job < 60; ++job) {
    double least = 1e300;
    for (size_t agent = 0; agent < 5; ++agent) least = std::min(least, problem.weight_of(0, agent, job));
    sum += least;
  }
  // One agent has most of the room, which is the wrong one for most jobs.
  problem.capacity = {sum * 0.9, sum * 0.05, sum * 0.05, sum * 0.05, sum * 0.05};
  ASSERT_FALSE(count_conflict(problem).has_value());
  const Conflict conflict = tests::value_of(find_conflict(problem));
  EXPECT_GT(conflict.jobs.size(), 2U);
  EXPECT_LE(conflict.jobs.size(), 60U);
}

TEST(PricedBound, KnowsThatReplicasAreApart) {
  const std::vector<SchedulerNode> nodes = {{.cpu = 9, .memory = 9, .bandwidth = 9, .zone = 0},
                                            {.cpu = 9, .memory = 9, .bandwidth = 9, .zone = 0},
                                            {.cpu = 9, .memory = 9, .bandwidth = 9, .zone = 1}};
  const std::vector<float> latency = {1, 20, 50};
  std::vector<SchedulerWorkload> workloads = {{.cpu = 1, .memory = 1, .replicas = 2, .latency = latency}};
  EXPECT_NEAR(priced_bound(nodes, workloads, 21), 21, 1e-3);
  workloads[0].spread_over_zones = true;
  EXPECT_NEAR(priced_bound(nodes, workloads, 51), 51, 1e-3);
}

TEST(PricedBound, IsBelowWhatTheSchedulerFindsAndAboveTheNearestNodes) {
  Random random(34);
  for (int round = 0; round < 10; ++round) {
    std::vector<SchedulerNode> nodes;
    for (int i = 0; i < 10; ++i) nodes.push_back({.cpu = 10 + random.unit() * 10, .memory = 100, .bandwidth = 1000});
    std::vector<std::vector<float>> latencies(120);
    std::vector<SchedulerWorkload> workloads;
    double nearest = 0;
    for (std::vector<float>& latency : latencies) {
      // The first node is near to all, and far too small for them.
      for (int i = 0; i < 10; ++i) latency.push_back(static_cast<float>(i == 0 ? 1 : 5 + random.unit() * 50));
      workloads.push_back({.cpu = 0.5 + random.unit() * 0.5, .memory = 1, .latency = latency});
      nearest += 1;
    }
    Scheduler scheduler(nodes);
    double value = 0;
    for (uint32_t i = 0; i < workloads.size(); ++i) {
      const std::vector<NodeScore> placed = scheduler.place(i, workloads[i]);
      ASSERT_EQ(placed.size(), 1U);
      value += placed[0].estimated_latency;
    }
    const double bound = priced_bound(nodes, workloads, value);
    EXPECT_LE(bound, value);
    EXPECT_GT(bound, 2 * nearest);
  }
}

}  // namespace
}  // namespace verge::planner
