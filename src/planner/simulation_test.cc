#include "planner/simulation.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace verge::planner {
namespace {

// EPaxos, SOSP 2013, section 7: what was measured between the five sites; the rest is left to the model.
constexpr std::string_view kFiveSites =
    "VA,CA,OR,JP,EU\n0,85,,,90\n85,0,21,118,156\n,21,0,127,\n,118,127,0,278\n90,156,,278,0\n";

RoundTripMatrix matrix_of(std::string_view text) {
  Result<RoundTripMatrix> matrix = parse_round_trip_matrix(text, "m.csv");
  EXPECT_TRUE(matrix) << matrix.error().line();
  return matrix ? *matrix : RoundTripMatrix{};
}

std::vector<double> medians(const RoundTripMatrix& matrix, const SimulationOptions& options) {
  std::vector<double> found;
  for (const SiteLatency& site : simulate(matrix, options).sites) found.push_back(site.commit_p50_ms);
  return found;
}

void expect_near_paper(const std::vector<double>& found, const std::array<double, 5>& paper) {
  double sum = 0;
  for (size_t site = 0; site < 5; ++site) {
    const double error = std::abs(found[site] / paper[site] - 1);
    EXPECT_LE(error, 0.10) << site << ": " << found[site];
    sum += error;
  }
  EXPECT_LE(sum / 5, 0.06);
}

TEST(Simulation, MediansAreThoseOfThePaper) {
  const RoundTripMatrix matrix = matrix_of(kFiveSites);
  expect_near_paper(medians(matrix, {.protocol = Protocol::kEPaxos, .operations = 20'000}), {81, 79, 81, 135, 152});
  expect_near_paper(medians(matrix, {.protocol = Protocol::kMultiPaxos, .leader = 1, .operations = 20'000}),
                    {170, 85, 107, 211, 250});
}

// Round trips a-b 10, a-c 20, b-c 40.
constexpr std::string_view kThree = "a,b,c\n0,10,20\n10,0,40\n20,40,0\n";

TEST(Simulation, ThreeSitesByHand) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  const auto near = [](const std::vector<double>& found, std::array<double, 3> expected) {
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(found[i], expected[i], 0.03 * expected[i] + 0.1) << i;
  };
  const uint64_t count = 5000;
  near(medians(matrix, {.protocol = Protocol::kRaft, .leader = 0, .operations = count}),
       {10, 20, 30});  // to a and back, a to b and back
  near(medians(matrix, {.protocol = Protocol::kPrimaryBackup, .leader = 0, .operations = count}), {20, 30, 40});
  near(medians(matrix, {.protocol = Protocol::kQuorum, .operations = count}), {10, 10, 20});
  near(medians(matrix, {.protocol = Protocol::kEPaxos, .operations = count}), {10, 10, 20});
  near(medians(matrix, {.protocol = Protocol::kCrdt, .operations = count}), {0, 0, 0});
  // a -> b -> c and the answer from c: 5 + 20, and half the round trip from c; and to the head before.
  near(medians(matrix, {.protocol = Protocol::kChain, .leader = 0, .operations = count}), {35, 50, 35});
}

TEST(Simulation, ConflictsMakeEPaxosSlowerAndThreeSitesNever) {
  const RoundTripMatrix five = matrix_of(kFiveSites);
  const SimulationAnswer none = simulate(five, {.protocol = Protocol::kEPaxos, .conflict = 0, .operations = 20'000});
  const SimulationAnswer some = simulate(five, {.protocol = Protocol::kEPaxos, .conflict = 0.02, .operations = 20'000});
  const SimulationAnswer all = simulate(five, {.protocol = Protocol::kEPaxos, .conflict = 1, .operations = 20'000});
  EXPECT_EQ(none.slow_share, 0);
  EXPECT_GT(all.slow_share, some.slow_share);
  for (size_t site = 0; site < 5; ++site) {
    EXPECT_GE(all.sites[site].commit_p50_ms, none.sites[site].commit_p50_ms * 0.99);
    EXPECT_GE(all.sites[site].execute_p99_ms, all.sites[site].commit_p99_ms * 0.99);
    EXPECT_EQ(all.sites[site].operations > 0, true);
  }
  const RoundTripMatrix three = matrix_of(kThree);
  EXPECT_EQ(simulate(three, {.protocol = Protocol::kEPaxos, .conflict = 1, .operations = 5000}).slow_share, 0);
}

TEST(Simulation, EveryOperationEndsOnceAndASeedReplays) {
  const RoundTripMatrix matrix = matrix_of(kFiveSites);
  for (const std::string& name : protocol_names()) {
    const SimulationOptions options{
        .protocol = protocol_named(name).value_or(Protocol::kRaft), .conflict = 0.3, .operations = 3000, .seed = 5};
    const SimulationAnswer once = simulate(matrix, options);
    const SimulationAnswer again = simulate(matrix, options);
    uint64_t operations = 0;
    for (size_t site = 0; site < 5; ++site) {
      operations += once.sites[site].operations;
      EXPECT_EQ(once.sites[site].commit_p99_ms, again.sites[site].commit_p99_ms);
      EXPECT_GE(once.sites[site].commit_p99_ms, once.sites[site].commit_p50_ms);
    }
    EXPECT_EQ(operations, 3000U) << name;
    EXPECT_EQ(once.bytes_per_operation, again.bytes_per_operation);
  }
}

TEST(Simulation, MessagesByHand) {
  const RoundTripMatrix matrix = matrix_of(kFiveSites);
  const auto messages = [&](Protocol protocol) {
    return simulate(matrix, {.protocol = protocol, .operations = 5000}).messages_per_operation;
  };
  EXPECT_DOUBLE_EQ(messages(Protocol::kEPaxos), 12);  // ask, answer, commit: four each
  EXPECT_DOUBLE_EQ(messages(Protocol::kQuorum), 8);
  EXPECT_DOUBLE_EQ(messages(Protocol::kCrdt), 4);
}

TEST(Simulation, OneSiteAloneNeedsNobody) {
  const RoundTripMatrix one{.sites = {"a"}, .milliseconds = {0}, .is_modelled = {false}};
  for (const std::string& name : protocol_names()) {
    const SimulationAnswer answer =
        simulate(one, {.protocol = protocol_named(name).value_or(Protocol::kRaft), .operations = 100});
    EXPECT_EQ(answer.sites[0].operations, 100U) << name;
    EXPECT_EQ(answer.messages_per_operation, 0) << name;
  }
}

TEST(Replication, QuorumsAndAvailabilityByHand) {
  EXPECT_EQ(majority_of(5), 3U);
  EXPECT_EQ(majority_of(4), 3U);
  EXPECT_EQ(fast_quorum_of(3), 2U);
  EXPECT_EQ(fast_quorum_of(5), 3U);
  EXPECT_EQ(fast_quorum_of(7), 5U);
  // 3 of .9³ + 3 of .9² · .1
  EXPECT_NEAR(availability(Protocol::kRaft, 3, 0.9).writes, 0.729 + 3 * 0.081, 1e-12);
  EXPECT_NEAR(availability(Protocol::kChain, 3, 0.9).writes, 0.729, 1e-12);
  EXPECT_NEAR(availability(Protocol::kCrdt, 3, 0.9).writes, 1 - 0.001, 1e-12);
  EXPECT_TRUE(can_write(Protocol::kRaft, 0b011, 3, 0));
  EXPECT_FALSE(can_write(Protocol::kRaft, 0b110, 3, 0));  // the leader is on the other side
  EXPECT_TRUE(can_write(Protocol::kEPaxos, 0b110, 3, 0));
  EXPECT_FALSE(can_write(Protocol::kEPaxos, 0b100, 3, 0));
}

TEST(Replication, FitnessByHand) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  const auto leaders = leaders_by_fitness(matrix, {}, {});
  EXPECT_EQ(leaders[0].site, 0U);
  EXPECT_DOUBLE_EQ(leaders[0].mean_ms, 15);
  EXPECT_DOUBLE_EQ(leaders[0].fitness, .3 / 16 + .3 * .5 + .4);
  const std::vector<double> stability = {0.2, 1, 1};
  EXPECT_EQ(leaders_by_fitness(matrix, {}, stability)[0].site, 1U);
}

TEST(RoundTripMatrix, NamedRowsTrianglesAndGaps) {
  EXPECT_EQ(matrix_of("site,a,b\na,0,5\nb,5,0\n").between(0, 1), 5);
  EXPECT_EQ(matrix_of(",a,b\na,0,4\nb,6,0\n").between(0, 1), 5);
  EXPECT_EQ(matrix_of("a,b\n0,5\n5,0\n").between(1, 0), 5);
  EXPECT_EQ(matrix_of("a,b,c\n0\n5,0\n7,8,0\n").between(0, 2), 7);
  const RoundTripMatrix filled = matrix_of(kFiveSites);
  EXPECT_TRUE(filled.is_modelled[0 * 5 + 2]);
  EXPECT_GE(filled.between(0, 2), 64);
  EXPECT_LE(filled.between(0, 2), 106);
  for (size_t a = 0; a < 5; ++a) {
    for (size_t b = 0; b < 5; ++b) EXPECT_NEAR(filled.between(a, b), filled.between(b, a), 1e-9);
  }
}

TEST(RoundTripMatrix, WhatIsWrongIsNamedWithItsLine) {
  for (const auto& [text, where] : std::vector<std::pair<std::string, std::string>>{{"", "m:1:"},
                                                                                    {"a,b\n0,1\n", "m:2:"},
                                                                                    {"a,b\n0,x\n1,0\n", "m:2:"},
                                                                                    {"a,b\n0,1\n-1,0\n", "m:3:"},
                                                                                    {"a,a\n0,1\n1,0\n", "m:1:"},
                                                                                    {"s,a,b\nb,0,1\na,1,0\n", "m:2:"},
                                                                                    {"a,b\n0,\n,0\n", "m:1:"}}) {
    const auto parsed = parse_round_trip_matrix(text, "m");
    ASSERT_FALSE(parsed) << text;
    EXPECT_TRUE(parsed.error().what.starts_with(where)) << parsed.error().what;
  }
}

}  // namespace
}  // namespace verge::planner
