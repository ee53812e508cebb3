// The assignment's solvers against enumeration.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/anytime.h"
#include "planner/ejection_search.h"
#include "planner/exact.h"
#include "planner/gap_file.h"
#include "planner/knapsack.h"
#include "planner/lagrangian.h"
#include "planner/lagrangian_dive.h"

namespace verge::planner {
namespace {

AssignmentProblem random_problem(Random& random, size_t agents, size_t jobs, size_t resources, bool whole) {
  AssignmentProblem problem{.agents = agents, .jobs = jobs, .resources = resources};
  const auto number = [&](uint64_t most) {
    const double value = static_cast<double>(1 + random.below(most));
    return whole ? value : value + random.unit();
  };
  for (size_t i = 0; i < agents * jobs; ++i) problem.cost.push_back(random.chance(0.1) ? kForbidden : number(50));
  for (size_t i = 0; i < resources * agents * jobs; ++i) problem.weight.push_back(number(20));
  for (size_t i = 0; i < resources * agents; ++i)
    problem.capacity.push_back(static_cast<double>(jobs) * 14.0 / static_cast<double>(agents));
  if (random.chance(0.5)) {
    for (size_t i = 0; i < agents; ++i) problem.opening.push_back(number(30));
  }
  if (random.chance(0.5)) {
    Spread spread{.jobs = {0, 1}, .domain_of_agent = {}, .domains = 2, .most = 1};
    for (size_t i = 0; i < agents; ++i) spread.domain_of_agent.push_back(static_cast<uint32_t>(i % 2));
    problem.spreads.push_back(spread);
  }
  return problem;
}

double best_by_enumeration(const AssignmentProblem& problem) {
  Assignment assignment(problem.jobs, 0);
  double best = kForbidden;
  while (true) {
    if (is_feasible(problem, assignment)) best = std::min(best, value_of_assignment(problem, assignment));
    size_t job = 0;
    while (job < problem.jobs && ++assignment[job] == problem.agents) assignment[job++] = 0;
    if (job == problem.jobs) return best;
  }
}

TEST(Knapsack, IsWhatEnumerationSays) {
  Random random(11);
  Knapsack knapsack;
  for (int round = 0; round < 2000; ++round) {
    const bool whole = random.chance(0.7);
    std::vector<KnapsackItem> items;
    for (uint32_t i = 0; i < 1 + random.below(11); ++i) {
      const double weight = static_cast<double>(random.below(12)) + (whole ? 0 : random.unit());
      items.push_back({i, 0.1 + random.unit() * 10, weight});
    }
    const double capacity = 12 + static_cast<double>(random.below(25)) + (whole ? 0 : random.unit());
    double best = 0;
    for (uint32_t set = 0; set < 1U << items.size(); ++set) {
      double weight = 0;
      double profit = 0;
      for (size_t i = 0; i < items.size(); ++i) {
        if ((set >> i & 1U) == 0) continue;
        weight += items[i].weight;
        profit += items[i].profit;
      }
      if (weight <= capacity) best = std::max(best, profit);
    }
    const double value = knapsack.solve(items, capacity);
    if (whole) {
      EXPECT_NEAR(value, best, 1e-9);
    } else {
      EXPECT_GE(value, best - 1e-9);
      EXPECT_LE(value, best * 1.01 + 0.1);
    }
    EXPECT_GE(knapsack.fractional(), best - 1e-9);
  }
}

TEST(Assignment, TheBoundIsBelowEveryAssignmentAndAnswersKeepToAllLimits) {
  Random random(12);
  int solved = 0;
  for (int round = 0; round < 60; ++round) {
    const AssignmentProblem problem = random_problem(random, 3, 6, 1 + random.below(2), random.chance(0.5));
    const double best = best_by_enumeration(problem);
    AnytimeAnswer answer;
    // How far it comes in a time is the machine's; that it comes to the best is not.
    for (auto time = std::chrono::milliseconds(60); time < std::chrono::seconds(20); time *= 4) {
      answer = solve_anytime(problem, {.time = time, .threads = 1, .seed = 3});
      if (!answer.is_feasible || answer.value <= best + 1e-6) break;
    }
    if (std::isfinite(best)) {
      EXPECT_LE(answer.bound, best * (1 + 1e-9));
      for (const double bound : answer.bounds_when_assigned) EXPECT_FALSE(std::isnan(bound));
    }
    if (!answer.is_feasible) continue;
    ++solved;
    EXPECT_TRUE(is_feasible(problem, answer.assignment));
    EXPECT_DOUBLE_EQ(value_of_assignment(problem, answer.assignment), answer.value);
    EXPECT_NEAR(answer.value, best, 1e-6);
  }
  EXPECT_GT(solved, 30);
}

// Two replicas of one workload, alike, on different nodes or zones, and one apart from both of another's.
AssignmentProblem replicated_problem(Random& random, bool has_room) {
  AssignmentProblem problem = random_problem(random, 4, 5, 2, false);
  problem.opening.clear();
  problem.spreads.clear();
  for (size_t row = 0; row < 2 * 4; ++row) problem.weight[row * 5 + 1] = problem.weight[row * 5];
  for (size_t agent = 0; agent < 4; ++agent) problem.cost[agent * 5 + 1] = problem.cost[agent * 5];
  if (has_room) problem.capacity.assign(8, 1000);
  const bool zones = random.chance(0.5);
  Spread spread{.jobs = {0, 1}, .domain_of_agent = {0, 1, 2, 3}, .domains = 4, .most = 1};
  if (zones) spread = {.jobs = {0, 1}, .domain_of_agent = {0, 0, 1, 1}, .domains = 2, .most = 1};
  problem.spreads.push_back(spread);
  if (random.chance(0.5)) {
    for (const uint32_t replica : {0U, 1U}) {
      problem.spreads.push_back({.jobs = {replica, 2}, .domain_of_agent = {0, 1, 2, 3}, .domains = 4, .most = 1});
    }
  }
  return problem;
}

TEST(Assignment, TheBoundKnowsThatReplicasAreApart) {
  Random random(17);
  int rounds = 0;
  double gap_sum = 0;
  for (int round = 0; round < 120; ++round) {
    const bool has_room = round % 2 == 0;
    const AssignmentProblem problem = replicated_problem(random, has_room);
    const double best = best_by_enumeration(problem);
    Lagrangian lagrangian(problem);
    for (int step = 0; step < 1500 && lagrangian.step(best); ++step) {
    }
    if (!std::isfinite(best)) continue;
    EXPECT_LE(lagrangian.bound(), best * (1 + 1e-9)) << round;
    const std::vector<double> bounds = lagrangian.bounds_when_assigned();
    for (size_t agent = 0; agent < 4; ++agent) {
      for (size_t job = 0; job < 5; ++job) {
        AssignmentProblem forced = problem;
        for (size_t other = 0; other < 4; ++other) {
          if (other != agent) forced.cost[other * 5 + job] = kForbidden;
        }
        EXPECT_LE(bounds[agent * 5 + job], best_by_enumeration(forced) + 1e-6) << round;
      }
    }
    // Where capacities do not matter and nobody else must be apart, the bound is the best value itself.
    if (has_room && problem.spreads.size() == 1) EXPECT_NEAR(lagrangian.bound(), best, 1e-6 * best) << round;
    if (!has_room) continue;
    ++rounds;
    gap_sum += (best - lagrangian.bound()) / best;
  }
  EXPECT_GT(rounds, 30);
  EXPECT_LT(gap_sum / rounds, 0.02);
}

TEST(Assignment, ForcingAJobOntoAnAgentIsBoundedFromBelow) {
  Random random(13);
  for (int round = 0; round < 30; ++round) {
    const AssignmentProblem problem = random_problem(random, 3, 5, 1, true);
    Lagrangian lagrangian(problem);
    for (int step = 0; step < 200 && lagrangian.step(kForbidden); ++step) {
    }
    const std::vector<double> bounds = lagrangian.bounds_when_assigned();
    for (size_t agent = 0; agent < 3; ++agent) {
      for (size_t job = 0; job < 5; ++job) {
        AssignmentProblem forced = problem;
        for (size_t other = 0; other < 3; ++other) {
          if (other != agent) forced.cost[other * 5 + job] = kForbidden;
        }
        EXPECT_LE(bounds[agent * 5 + job], best_by_enumeration(forced) + 1e-6);
      }
    }
  }
}

TEST(Assignment, DivesFindTheBestAndNothingBelowIt) {
  Random random(16);
  const std::atomic<bool> stop = false;
  int solved = 0;
  for (int round = 0; round < 40; ++round) {
    AssignmentProblem problem = random_problem(random, 3, 7, 1, true);
    problem.opening.clear();
    problem.spreads.clear();
    ASSERT_FALSE(LagrangianDive::suits(problem));  // a capacity of 14 / 3 a job is not whole
    for (double& capacity : problem.capacity) capacity = std::floor(capacity);
    ASSERT_TRUE(LagrangianDive::suits(problem));
    const double best = best_by_enumeration(problem);
    Lagrangian lagrangian(problem);
    for (int step = 0; step < 200 && lagrangian.step(kForbidden); ++step) {
    }
    LagrangianDive dive(problem, lagrangian.prices(), 5, stop);
    if (!std::isfinite(best)) {
      EXPECT_FALSE(dive.dive(1e6, 60));
      continue;
    }
    EXPECT_FALSE(dive.dive(best - 1, 60));
    bool found = false;
    for (int i = 0; i < 10 && !found; ++i) found = dive.dive(best, 60);
    if (!found) continue;
    ++solved;
    EXPECT_TRUE(is_feasible(problem, dive.answer()));
    EXPECT_EQ(value_of_assignment(problem, dive.answer()), best);
  }
  EXPECT_GT(solved, 20);
}

TEST(Assignment, ExactIsWhatEnumerationSays) {
  Random random(14);
  for (int round = 0; round < 8; ++round) {
    const AssignmentProblem problem = random_problem(random, 3, 6, 2, true);
    const double best = best_by_enumeration(problem);
    const Result<AnytimeAnswer> answer = solve_exactly(problem, {.time = std::chrono::milliseconds(800), .threads = 1});
    if (!answer) GTEST_SKIP() << answer.error().line();
    EXPECT_EQ(answer->is_feasible, std::isfinite(best));
    EXPECT_EQ(answer->is_proven_infeasible, !std::isfinite(best));
    if (!answer->is_feasible) continue;
    EXPECT_NEAR(answer->value, best, 1e-6);
    EXPECT_TRUE(answer->is_optimal);
    EXPECT_LE(answer->bound, best + 1e-6);
  }
}

TEST(Assignment, ExactProvesThatThereIsNoneAndNamesFewJobs) {
  // Three jobs of 6 on two agents of 10, and others that fit beside them.
  AssignmentProblem problem{.agents = 2, .jobs = 8};
  for (size_t i = 0; i < 16; ++i) {
    problem.cost.push_back(1 + static_cast<double>(i % 3));
    problem.weight.push_back(i % 8 < 3 ? 6 : 0.1);
  }
  problem.capacity = {10, 10};
  const Result<AnytimeAnswer> answer = solve_exactly(problem, {.time = std::chrono::seconds(3), .threads = 1});
  if (!answer) GTEST_SKIP() << answer.error().line();
  EXPECT_FALSE(answer->is_feasible);
  EXPECT_TRUE(answer->is_proven_infeasible);
  std::vector<uint32_t> jobs = answer->conflicting_jobs;
  std::ranges::sort(jobs);
  EXPECT_EQ(jobs, (std::vector<uint32_t>{0, 1, 2}));
}

TEST(Assignment, TheSameSeedAndRoundsGiveTheSameAnswer) {
  Random random(15);
  const AssignmentProblem problem = random_problem(random, 4, 40, 1, true);
  std::vector<std::vector<uint32_t>> likely(problem.jobs);
  for (uint32_t job = 0; job < problem.jobs; ++job) {
    for (uint32_t agent = 0; agent < problem.agents; ++agent) {
      if (std::isfinite(problem.cost_of(agent, job))) likely[job].push_back(agent);
    }
    if (likely[job].empty()) GTEST_SKIP();
  }
  const std::atomic<bool> stop = false;
  const auto run = [&] {
    EjectionSearch search(problem, likely, std::vector<double>(problem.agents, 1), 9, stop);
    search.start_from({});
    for (int i = 0; i < 200; ++i) search.round();
    return search.best_value();
  };
  EXPECT_EQ(run(), run());
}

TEST(GapFile, IsReadWhateverItsLines) {
  const auto problem = parse_gap(" 2 3\n1 2 3\n4 5\n6 7 8 9 10 11 12\n13 14\n", "x");
  ASSERT_TRUE(problem) << problem.error().line();
  EXPECT_EQ(problem->cost_of(1, 2), 6);
  EXPECT_EQ(problem->weight_of(0, 0, 0), 7);
  EXPECT_EQ(problem->capacity_of(0, 1), 14);
  size_t line = 0;
  ASSERT_TRUE(parse_gap("1 1\n2\n3\n\n4\n", "x", &line));
  EXPECT_EQ(line, 5U);
}

TEST(GapFile, WhatIsWrongIsNamedWithItsLine) {
  const std::map<std::string, std::string> bad = {
      {"2 x", "g:1:"},
      {"2 1\n1 2\n-3 4\n5 5\n", "g:3:"},
      {"2 1\n1 2\n3 4\n5\n", "g:5:"},
      {"2 1\n1 2\n3 4\n5 5 5\n", "g:4:"},
      {"0 5", "g:1:"},
      {"1 1\nnan 1 1", "g:2:"},
      {"1e9 1e9 1", "g:1:"},
      {"2.5 1", "g:1:"},
      {"", "g:1:"},
  };
  for (const auto& [text, where] : bad) {
    const auto problem = parse_gap(text, "g");
    ASSERT_FALSE(problem) << text;
    EXPECT_TRUE(problem.error().what.starts_with(where)) << problem.error().what;
    EXPECT_FALSE(problem.error().fix.empty());
  }
}

TEST(Assignment, GapIsInPercentOfTheValue) {
  EXPECT_DOUBLE_EQ(gap_percent(200, 199), 0.5);
  EXPECT_EQ(gap_percent(0, 0), 0);
}

}  // namespace
}  // namespace verge::planner
