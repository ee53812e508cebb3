#include "planner/replicas.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/sharding.h"

namespace verge::planner {
namespace {

ReplicaProblem random_problem(Random& random, size_t nodes, size_t users) {
  ReplicaProblem problem{
      .nodes = nodes, .users = users, .replicas_max = 3, .storage_cost_max = 10'000, .lag_max_ms = 60};
  std::vector<std::pair<double, double>> node_places;
  for (size_t i = 0; i < nodes; ++i) node_places.emplace_back(random.unit() * 100, random.unit() * 100);
  for (const auto& [x, y] : node_places) {
    for (const auto& [u, v] : node_places) problem.between_ms.push_back(std::hypot(x - u, y - v));
    problem.storage_cost.push_back(1000 + random.unit() * 4000);
  }
  std::vector<std::pair<double, double>> user_places;
  for (size_t i = 0; i < users; ++i) user_places.emplace_back(random.unit() * 100, random.unit() * 100);
  for (const auto& [x, y] : node_places) {
    for (const auto& [u, v] : user_places) problem.latency_ms.push_back(std::hypot(x - u, y - v));
  }
  for (size_t i = 0; i < users; ++i) problem.weight.push_back(random.unit() * 10);
  return problem;
}

TEST(Replicas, KeepToTheirLimitsAndLieAboveTheBound) {
  Random random(41);
  for (int round = 0; round < 40; ++round) {
    const ReplicaProblem problem = random_problem(random, 8, 30);
    const Result<ReplicaPlan> plan = place_replicas(problem);
    ASSERT_TRUE(plan);
    EXPECT_LE(plan->replicas.size(), 3U);
    EXPECT_LE(plan->lag_ms, 60);
    EXPECT_LE(plan->storage_cost, 10'000);
    EXPECT_LE(plan->mean_latency_ms, plan->single_latency_ms + 1e-9);
    EXPECT_LE(plan->bound_ms, plan->mean_latency_ms + 1e-9);
    EXPECT_GE(plan->coverage, 0);
    // By enumeration of all sets of at most three: the bound is below the best, the plan not far above it.
    double best = 1e300;
    for (uint32_t set = 1; set < 256; ++set) {
      double cost = 0;
      double storage = 0;
      size_t count = 0;
      for (size_t node = 0; node < 8; ++node) {
        if ((set >> node & 1U) == 0) continue;
        ++count;
        storage += problem.storage_cost[node];
      }
      bool has_first = false;
      for (size_t first = 0; first < 8; ++first) {
        if ((set >> first & 1U) == 0) continue;
        bool near = true;
        for (size_t other = 0; other < 8; ++other)
          near = near && ((set >> other & 1U) == 0 || problem.between_ms[first * 8 + other] <= 60);
        has_first = has_first || near;
      }
      if (count > 3 || storage > 10'000 || !has_first) continue;
      for (size_t user = 0; user < 30; ++user) {
        double least = 1e300;
        for (size_t node = 0; node < 8; ++node) {
          if ((set >> node & 1U) != 0) least = std::min(least, problem.latency_ms[node * 30 + user]);
        }
        cost += least * problem.weight[user];
      }
      best = std::min(best, cost);
    }
    double weights = 0;
    for (const double weight : problem.weight) weights += weight;
    EXPECT_LE(plan->bound_ms, best / weights + 1e-9);
    EXPECT_GE(plan->mean_latency_ms, best / weights - 1e-9);
    EXPECT_LE(plan->mean_latency_ms, best / weights * 1.10);
  }
}

TEST(Replicas, TheBoundKnowsOfLagAndMoney) {
  // Two cities, 1000 ms apart, with half of the users each. Within the lag only one of them can have replicas.
  ReplicaProblem problem{.nodes = 4, .users = 4, .replicas_max = 4, .lag_max_ms = 100};
  const std::vector<double> place = {0, 10, 1000, 1010};
  for (const double node : place) {
    for (const double other : place) problem.between_ms.push_back(std::abs(node - other));
    for (const double user : place) problem.latency_ms.push_back(std::abs(node - user));
  }
  problem.weight.assign(4, 1);
  problem.storage_cost.assign(4, 1000);
  Result<ReplicaPlan> plan = place_replicas(problem);
  ASSERT_TRUE(plan);
  EXPECT_NEAR(plan->mean_latency_ms, (990 + 1000) / 4.0, 1e-9);
  EXPECT_NEAR(plan->bound_ms, plan->mean_latency_ms, 0.01 * plan->mean_latency_ms);
  EXPECT_LE(plan->bound_ms, plan->mean_latency_ms + 1e-9);
  problem.lag_max_ms = 2000;  // money for two: one in each city
  problem.storage_cost_max = 2500;
  plan = place_replicas(problem);
  ASSERT_TRUE(plan);
  EXPECT_NEAR(plan->mean_latency_ms, 5, 1e-9);
  EXPECT_NEAR(plan->bound_ms, 5, 0.05);
}

TEST(Replicas, WithoutMoneyThereAreNone) {
  Random random(42);
  ReplicaProblem problem = random_problem(random, 3, 3);
  problem.storage_cost_max = 10;
  const Result<ReplicaPlan> plan = place_replicas(problem);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "plan.infeasible");
}

TEST(Sharding, NoShardIsBeyondItsBoundAndFewKeysMove) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("shard-" + std::to_string(i));
  const Sharding before = hash_keys(names, 20'000, 0.25);
  EXPECT_LE(before.imbalance, 1.25 + 1e-3);
  uint64_t sum = 0;
  for (const uint64_t count : before.keys_of) sum += count;
  EXPECT_EQ(sum, 20'000U);
  const std::vector<std::string> fewer(names.begin(), names.end() - 1);
  const size_t moves = moves_between(before, names, hash_keys(fewer, 20'000, 0.25), fewer);
  EXPECT_GE(moves, before.keys_of.back());
  EXPECT_LT(moves, 20'000U / 4);
}

TEST(Sharding, ByPlaceAKeyGoesToTheNearestShardWithRoom) {
  const std::vector<Coordinates> shards = {{0, 0}, {0, 90}};
  const std::vector<Coordinates> keys = {{0, 1}, {0, 2}, {0, 44}, {0, 89}};
  const Sharding loose = partition_by_place(shards, keys, 1);
  EXPECT_EQ(loose.shard_of, (std::vector<uint32_t>{0, 0, 0, 1}));
  const Sharding tight = partition_by_place(shards, keys, 0);
  EXPECT_EQ(tight.shard_of, (std::vector<uint32_t>{0, 0, 1, 1}));  // who loses least goes elsewhere
  EXPECT_DOUBLE_EQ(tight.imbalance, 1);
}

}  // namespace
}  // namespace verge::planner
