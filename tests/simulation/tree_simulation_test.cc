// The production uplink and receiver over simulated disks, paths and time: a child, its parent and the root above it.
// Disks fail and forget, paths lose, repeat and lie, power goes at any moment. Nothing acknowledged may be lost,
// nothing delivered twice, and every start must succeed.
#include <cstdlib>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/simulation/simulated_tree.h"

namespace verge::tests {
namespace {

// VERGE_SEED: this one, or the first of VERGE_SIMULATION_RUNS.
struct Runs {
  uint64_t first;
  uint64_t count;
};

Runs runs(uint64_t count) {
  const char* given = std::getenv("VERGE_SEED");
  const char* runs_given = std::getenv("VERGE_SIMULATION_RUNS");
  if (runs_given != nullptr) count = std::strtoull(runs_given, nullptr, 10);
  if (given == nullptr) return {system_seed(), count};
  return {std::strtoull(given, nullptr, 10), runs_given != nullptr ? count : 1};
}

class TreeSimulation : public testing::Test {
 protected:
  // What the nodes say of the faults that were made for them.
  static void SetUpTestSuite() {
    if (std::getenv("VERGE_SEED") == nullptr)
      configure_log(static_cast<LogLevel>(static_cast<int>(LogLevel::kError) + 1), LogFormat::kText);
  }
};

TEST_F(TreeSimulation, NothingAcknowledgedIsLostOrDeliveredTwice) {
  const auto [first, count] = runs(300);
  std::printf("seeds from %llu on, %llu runs\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(count));
  SimulatedTree::Met met;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    SimulatedTree tree(seed);
    tree.run_with_faults();
    ASSERT_FALSE(HasFailure());
    met.acknowledged += tree.met().acknowledged;
    met.requests += tree.met().requests;
    met.known += tree.met().known;
    met.refusals += tree.met().refusals;
    met.dead_letters += tree.met().dead_letters;
    met.given_up += tree.met().given_up;
    met.power_cuts += tree.met().power_cuts;
    met.redundant += tree.met().redundant;
  }
  std::printf(
      "%zu acknowledged, %zu requests, %zu of them beside others, %zu came again, %zu refusals, %zu dead letters, %zu "
      "given up, %zu power cuts\n",
      met.acknowledged, met.requests, met.redundant, met.known, met.refusals, met.dead_letters, met.given_up,
      met.power_cuts);
}

// What is new after a disk was put back is not taken for what was there before it was.
TEST_F(TreeSimulation, ADiskThatWasPutBack) {
  const auto [first, count] = runs(300);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    SimulatedTree tree(seed);
    tree.run_with_put_back();
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(TreeSimulation, ASeedReplaysARunExactly) {
  const uint64_t first = runs(1).first;
  for (uint64_t seed = first; seed < first + 10; ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    SimulatedTree tree(seed);
    tree.run_with_faults();
    SimulatedTree again(seed);
    again.run_with_faults();
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(tree.trace(), again.trace());
  }
}

// Every operation of each disk fails in turn, once and from then on, for want of space and for a broken disk; and every
// read, once.
void fail_everything_in_turn(uint64_t seed) {
  const auto extents = SimulatedTree(seed).run_script({});
  ASSERT_FALSE(testing::Test::HasFailure());
  for (size_t node = 0; node < SimulatedTree::kNodes; ++node) {
    ASSERT_GE(extents[node].operations, 40U);
    for (uint64_t n = 1; n <= extents[node].operations; ++n) {
      for (const std::string_view code : {"storage.full", "storage.io"}) {
        for (const bool sticky : {false, true}) {
          SCOPED_TRACE(testing::Message() << "node " << node << ", operation " << n << ", " << code
                                          << (sticky ? ", from then on" : ", once"));
          SimulatedTree(seed).run_script({.node = node, .operation = n, .code = code, .sticky = sticky});
          ASSERT_FALSE(testing::Test::HasFailure());
        }
      }
    }
    for (uint64_t n = 1; n <= extents[node].reads; ++n) {
      SCOPED_TRACE(testing::Message() << "node " << node << ", read " << n);
      SimulatedTree(seed).run_script({.node = node, .code = {}, .read = n});
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

TEST_F(TreeSimulation, AnErrorAtEveryOperationInTurn) { fail_everything_in_turn(14); }

// This seed has three paths to each parent, where the one before has one.
TEST_F(TreeSimulation, AnErrorAtEveryOperationInTurnWithSeveralPaths) { fail_everything_in_turn(4); }

}  // namespace
}  // namespace verge::tests
