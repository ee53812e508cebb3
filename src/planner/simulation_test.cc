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

TEST(Outages, TheirTextIsCheckedAndTheirTimesAreKept) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  const Result<Outage> outage = parse_outage("a,c@1.5-3", matrix, true);
  ASSERT_TRUE(outage) << outage.error().line();
  EXPECT_EQ(outage->sites, 0b101U);
  const Connectivity parted({*outage, {.sites = 0b010, .from_ms = 5000, .until_ms = 6000}});
  EXPECT_TRUE(parted.reaches(0, 2, 2000));
  EXPECT_FALSE(parted.reaches(0, 1, 2000));
  EXPECT_TRUE(parted.reaches(0, 1, 3000));
  EXPECT_EQ(parted.open_from(1, 2, 1500), 3000);
  EXPECT_EQ(parted.up_from(1, 5500), 6000);
  EXPECT_EQ(parted.reached_from(0, 3, 2000), 0b101U);
  EXPECT_EQ(
      uptimes({{.sites = 1, .from_ms = 0, .until_ms = 50}, {.sites = 1, .from_ms = 20, .until_ms = 70}}, 1, 100)[0],
      30);
  for (const char* bad : {"", "a", "@1-2", "a@", "a@1", "a@2-1", "a@1-1", "a@-1-2", "a@nan-2", "a@1-1e99", "d@1-2"}) {
    EXPECT_FALSE(parse_outage(bad, matrix, false)) << bad;
  }
}

TEST(Outages, ALeaderThatFailsIsReplacedAndAMinorityCannotWrite) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  const auto run = [&](Protocol protocol, const Outage& outage) {
    return simulate(matrix, {.protocol = protocol, .leader = 0, .operations = 60'000, .outages = {outage}});
  };
  const Outage leader_down{.sites = 0b001, .from_ms = 2000, .until_ms = 12'000};
  const SimulationAnswer raft = run(Protocol::kRaft, leader_down);
  EXPECT_EQ(raft.operations, 60'000U);
  EXPECT_EQ(raft.elections, 1U);
  EXPECT_LT(raft.sites[0].write_availability, raft.sites[1].write_availability);
  const double lost_ms = (1 - raft.sites[1].write_availability) * raft.duration_ms;
  EXPECT_NEAR(lost_ms, 1000, 300);  // the election
  EXPECT_NEAR((1 - raft.read_availability) * raft.duration_ms * 3, 10'000, 1);
  // Nobody replaces a primary; and quorums do not notice.
  const SimulationAnswer primary = run(Protocol::kPrimaryBackup, leader_down);
  EXPECT_EQ(primary.elections, 0U);
  EXPECT_NEAR((1 - primary.sites[1].write_availability) * primary.duration_ms, 10'000, 400);
  EXPECT_NEAR(run(Protocol::kQuorum, leader_down).sites[1].write_availability, 1, 1e-6);
  // Cut off, c reads but does not write, unless the data merge; and it gets what it missed.
  const Outage apart{.sites = 0b100, .is_partition = true, .from_ms = 2000, .until_ms = 12'000};
  const SimulationAnswer parted = run(Protocol::kRaft, apart);
  EXPECT_NEAR(parted.sites[0].write_availability, 1, 1e-6);
  EXPECT_NEAR((1 - parted.sites[2].write_availability) * parted.duration_ms, 10'000, 400);
  EXPECT_EQ(parted.read_availability, 1);
  EXPECT_GT(parted.messages_again, 0U);
  EXPECT_GT(parted.synchronised_ms, 0);
  EXPECT_LT(parted.synchronised_ms, 100 + 25);
  EXPECT_NEAR(run(Protocol::kCrdt, apart).sites[2].write_availability, 1, 1e-6);
}

TEST(Outages, ASiteThatFailedIsTakenOutOfAChainAndInAgain) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  const auto run = [&](Protocol protocol, uint64_t sites, bool takes_out, bool is_partition = false) {
    return simulate(matrix,
                    {.protocol = protocol,
                     .leader = 0,
                     .operations = 60'000,
                     .outages = {{.sites = sites, .is_partition = is_partition, .from_ms = 2000, .until_ms = 12'000}},
                     .takes_out = takes_out});
  };
  for (const Protocol protocol : {Protocol::kChain, Protocol::kPrimaryBackup}) {
    for (const uint64_t gone : {0b001U, 0b010U, 0b100U}) {  // the head, or primary; the middle; the tail
      const SimulationAnswer left = run(protocol, gone, false);
      const SimulationAnswer taken = run(protocol, gone, true);
      EXPECT_EQ(taken.operations, 60'000U);
      EXPECT_EQ(taken.elections, 2U);  // out, and in again
      const size_t other = gone == 0b010U ? 0 : 1;
      EXPECT_NEAR((1 - left.sites[other].write_availability) * left.duration_ms, 10'000, 500);
      EXPECT_NEAR((1 - taken.sites[other].write_availability) * taken.duration_ms, 1000, 400);
    }
    // Who is parted from the majority is taken out likewise, and its clients wait.
    const SimulationAnswer parted = run(protocol, 0b100, true, true);
    EXPECT_NEAR((1 - parted.sites[2].write_availability) * parted.duration_ms, 10'000, 1500);
    EXPECT_LT((1 - parted.sites[0].write_availability) * parted.duration_ms, 1500);
    // Two of three are no minority that could be taken out.
    EXPECT_EQ(run(protocol, 0b011, true).elections, 0U);
  }
  EXPECT_NEAR(availability(Protocol::kChain, 3, 0.9, true).writes, 0.729 + 3 * 0.081, 1e-12);
}

TEST(Simulation, WhatIsLostIsSentAgain) {
  const RoundTripMatrix matrix = matrix_of(kThree);
  for (const std::string& name : protocol_names()) {
    const SimulationOptions options{.protocol = protocol_named(name).value_or(Protocol::kRaft),
                                    .conflict = 0.2,
                                    .operations = 5000,
                                    .seed = 5,
                                    .loss = 0.05};
    const SimulationAnswer answer = simulate(matrix, options);
    uint64_t operations = 0;
    for (const SiteLatency& site : answer.sites) operations += site.operations;
    EXPECT_EQ(operations, 5000U) << name;
    // Of all messages, those that were sent again among them, a twentieth.
    const double sent = answer.messages_per_operation * 5000;
    EXPECT_NEAR(static_cast<double>(answer.messages_lost) / sent, 0.05, 0.01) << name;
    EXPECT_EQ(answer.messages_lost, simulate(matrix, options).messages_lost);
  }
  // A client that waits for one message there and one back waits for the timeout where one of them is lost.
  const SimulationAnswer raft = simulate(
      matrix, {.protocol = Protocol::kRaft, .leader = 0, .operations = 20'000, .clients_per_site = 1, .loss = 0.02});
  EXPECT_GT(raft.sites[1].commit_p99_ms, 100);
  EXPECT_LT(raft.sites[1].commit_p50_ms, 30);
}

TEST(Outages, RandomOnesLeaveTheShareThatWasAskedFor) {
  double up = 0;
  for (const double site : uptimes(random_outages(3, 0.8, 2000, 2e7, 7), 3, 2e7)) up += site / 2e7 / 3;
  EXPECT_NEAR(up, 0.8, 0.01);
  EXPECT_TRUE(random_outages(3, 1, 2000, 2e7, 7).empty());
}

TEST(Outages, AvailabilityIsWhatQuorumsSayOfRandomOnes) {
  const RoundTripMatrix matrix = matrix_of("a,b,c\n0,200,200\n200,0,200\n200,200,0\n");
  const std::vector<Outage> outages = random_outages(3, 0.8, 60'000, 1e8, 7);
  const SimulationAnswer answer = simulate(
      matrix,
      {.protocol = Protocol::kQuorum, .operations = 100'000, .clients_per_site = 1, .seed = 3, .outages = outages});
  // A site's clients write while it is up and one of the two others.
  const Connectivity connectivity(outages);
  double writes = 0;
  double looks = 0;
  for (double at = 0; at < answer.duration_ms; at += 500) {
    const std::array<bool, 3> up = {connectivity.is_up(0, at), connectivity.is_up(1, at), connectivity.is_up(2, at)};
    const int count = static_cast<int>(up[0]) + static_cast<int>(up[1]) + static_cast<int>(up[2]);
    writes += count >= 2 ? count / 3.0 : 0;
    ++looks;
  }
  EXPECT_NEAR(answer.write_availability, writes / looks, 0.01);
  EXPECT_LT(answer.write_availability, answer.read_availability);
}

TEST(Outages, EveryOperationEndsWhateverFailsAndASeedReplays) {
  const RoundTripMatrix matrix = matrix_of(
      "a,b,c,d,e,f,g\n0,9,9,9,9,9,9\n9,0,9,9,9,9,9\n9,9,0,9,9,9,9\n9,9,9,0,9,9,9\n"
      "9,9,9,9,0,9,9\n9,9,9,9,9,0,9\n9,9,9,9,9,9,0\n");
  std::vector<Outage> outages = random_outages(7, 0.7, 3000, 60'000, 11);
  outages.push_back({.sites = 0b1010101, .is_partition = true, .from_ms = 1000, .until_ms = 4000});
  for (size_t i = 0; i < 2 * protocol_names().size(); ++i) {
    const std::string name = protocol_names()[i / 2];
    const SimulationOptions options{.protocol = protocol_named(name).value_or(Protocol::kRaft),
                                    .conflict = 0.2,
                                    .operations = 4000,
                                    .seed = 5,
                                    .outages = outages,
                                    .loss = i % 2 == 0 ? 0 : 0.1,
                                    .takes_out = i % 2 == 1};
    const SimulationAnswer once = simulate(matrix, options);
    uint64_t operations = 0;
    for (const SiteLatency& site : once.sites) operations += site.operations;
    EXPECT_EQ(operations, 4000U) << name;
    EXPECT_EQ(once.write_availability, simulate(matrix, options).write_availability);
    EXPECT_GE(once.write_availability, 0);
    EXPECT_LE(once.write_availability, 1);
  }
}

TEST(Outages, SevenSitesOfEPaxosWriteWithThreeGoneBySlowPaths) {
  const RoundTripMatrix matrix = matrix_of(
      "a,b,c,d,e,f,g\n0,9,9,9,9,9,9\n9,0,9,9,9,9,9\n9,9,0,9,9,9,9\n9,9,9,0,9,9,9\n"
      "9,9,9,9,0,9,9\n9,9,9,9,9,0,9\n9,9,9,9,9,9,0\n");
  const SimulationAnswer answer =
      simulate(matrix, {.protocol = Protocol::kEPaxos,
                        .operations = 3000,
                        .outages = {{.sites = 0b1110000, .from_ms = 200, .until_ms = 30'000}}});
  EXPECT_GT(answer.slow_share, 0);
  EXPECT_NEAR(answer.sites[0].write_availability, 1, 0.02);
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

TEST(Replication, TwoFastQuorumsAlwaysMeet) {
  for (size_t sites = 1; sites <= kSitesMax; ++sites) EXPECT_GT(2 * fast_quorum_of(sites), sites);
  EXPECT_EQ(fast_quorum_of(3), 2U);
  EXPECT_EQ(fast_quorum_of(5), 3U);
  EXPECT_EQ(fast_quorum_of(7), 5U);
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
  for (const auto& [text, where] :
       std::vector<std::pair<std::string, std::string>>{{"", "m:1:"},
                                                        {"a,b\n0,1\n", "m:2:"},
                                                        {"a,b\n0,x\n1,0\n", "m:2:"},
                                                        {"a,b\n0,1\n-1,0\n", "m:3:"},
                                                        {"a,a\n0,1\n1,0\n", "m:1:"},
                                                        {"s,a,b\nb,0,1\na,1,0\n", "m:2:"},
                                                        {"a,b\n0,\n,0\n", "m:2:"},
                                                        {"# x\na,b\n\n0,\n,0\n", "m:4:"},
                                                        {"a,b\n0,nan\n1,0\n", "m:2:"},
                                                        {"a,b\n0,inf\n1,0\n", "m:2:"},
                                                        {"a,b\n0,5\n5,1\n", "m:3:"},
                                                        {"a,b\n0,0\n5,0\n", "m:2:"},
                                                        {"a,b,c\n0,5,7\n5,0\n7,8,0\n", "m:3:"},
                                                        {"a,b,c\n0,5,7\n5,0,8,9\n7,8,0\n", "m:3:"},
                                                        {"a,b,c\n0,5,7\n5,0,8\n7,8\n", "m:4:"},
                                                        {"London,Sydney\n0,200\n20,0\n", "m:3:"}}) {
    const auto parsed = parse_round_trip_matrix(text, "m");
    ASSERT_FALSE(parsed) << text;
    EXPECT_TRUE(parsed.error().what.starts_with(where)) << parsed.error().what;
    EXPECT_FALSE(parsed.error().fix.empty());
  }
}

TEST(RoundTripMatrix, WhatIsModelledIsNotFasterThanLightEither) {
  // By detours London - Sydney would be 5 to 25 ms.
  const RoundTripMatrix matrix = matrix_of("London,x,Sydney\n0,10,\n10,0,15\n,15,0\n");
  EXPECT_TRUE(matrix.is_modelled[2]);
  EXPECT_GE(matrix.between(0, 2), 160);
}

}  // namespace
}  // namespace verge::planner
