#include "cli/plant.h"

#include <gtest/gtest.h>

namespace verge::cli {
namespace {

std::string story_of(size_t number, uint64_t seed) {
  Machine machine(number, seed);
  std::string story;
  for (uint64_t n = 1; n <= 200; ++n) {
    story += std::to_string(machine.step(0.1));
    append_telemetry(story, machine.name(), n, machine.reading());
  }
  return story;
}

TEST(Plant, TheSameSeedTellsTheSameStory) {
  EXPECT_EQ(story_of(7, 42), story_of(7, 42));
  EXPECT_NE(story_of(7, 42), story_of(7, 43));
  EXPECT_NE(story_of(7, 42), story_of(8, 42));
}

TEST(Plant, AStoppedMachineCoolsTowardsAmbientAndStartsAgain) {
  Machine machine(1, 1);
  for (int i = 0; i < 100; ++i) machine.step(1);
  machine.obey("SHUTDOWN_EQUIPMENT");
  ASSERT_FALSE(machine.running());
  EXPECT_EQ(machine.load(), 0);
  double before = machine.temperature();
  int steps = 0;
  for (; !machine.running(); ++steps) {
    machine.step(0.1);
    EXPECT_LE(machine.temperature(), before);
    before = machine.temperature();
    ASSERT_LT(steps, 1000);
  }
  EXPECT_LT(machine.temperature(), 60.1);
  EXPECT_GT(machine.load(), 0);
}

TEST(Plant, HeatFollowsFirstOrderWhateverTheStep) {
  size_t number = 0;
  while (Machine(number, 9).temperature() < 75) ++number;
  Machine fine(number, 9);
  Machine coarse(number, 9);
  fine.obey("SHUTDOWN_EQUIPMENT");
  coarse.obey("SHUTDOWN_EQUIPMENT");
  const double start = coarse.temperature();
  coarse.step(0.5);
  for (int i = 0; i < 50; ++i) fine.step(0.01);
  ASSERT_FALSE(fine.running());
  EXPECT_LT(coarse.temperature(), start);
  EXPECT_NEAR(fine.temperature(), coarse.temperature(), 1e-9);
}

TEST(Plant, LoadIsHalvedForAWhile) {
  Machine machine(2, 5);
  const double before = machine.load();
  machine.obey("REDUCE_LOAD");
  EXPECT_DOUBLE_EQ(machine.load(), before / 2);
  for (int i = 0; i < 100; ++i) machine.step(0.1);
  EXPECT_GT(machine.load(), 0.1);
  machine.obey("SING");
  EXPECT_TRUE(machine.running());
}

TEST(Plant, BearingsWearAndShakeAndAreReplaced) {
  Machine machine(4, 11);
  bool replaced = false;
  double calmest = 1e9;
  double wildest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double before = machine.wear();
    machine.step(0.1);
    if (machine.wear() < before) replaced = true;
    EXPECT_LT(machine.wear(), 1);
    const double vibration = machine.reading().vibration;
    calmest = std::min(calmest, vibration);
    wildest = std::max(wildest, vibration);
  }
  EXPECT_TRUE(replaced);
  EXPECT_LT(calmest, 2);
  EXPECT_GT(wildest, Machine::kVibrationLimit);
}

// What the demonstration needs: many small decisions, few shutdowns, a part every ten seconds or so.
TEST(Plant, AFleetKeepsTheRulesBusy) {
  int overheated = 0;
  int shaken = 0;
  unsigned parts = 0;
  for (size_t number = 0; number < 200; ++number) {
    Machine machine(number, 1);
    for (int i = 0; i < 400; ++i) {
      parts += machine.step(0.1);
      const MachineReading reading = machine.reading();
      if (reading.running && reading.temperature > Machine::kTemperatureLimit) {
        ++overheated;
        machine.obey("SHUTDOWN_EQUIPMENT");
      } else if (reading.vibration > Machine::kVibrationLimit) {
        ++shaken;
        machine.obey("REDUCE_LOAD");
      }
    }
  }
  EXPECT_GT(overheated, 3);
  EXPECT_LT(overheated, 120);
  EXPECT_GT(shaken, 300);
  EXPECT_LT(shaken, 2000);
  EXPECT_GT(parts, 500U);
  EXPECT_LT(parts, 1500U);
}

TEST(Plant, TelemetryIsOneLineOfJson) {
  std::string out;
  append_telemetry(out, "m-001", 12, {.temperature = 80.123, .vibration = 2.5, .load = 0.5, .running = true});
  EXPECT_TRUE(out.starts_with(R"({"machine":"m-001","n":12,"temperature":80.12,"vibration":2.500,)"));
  EXPECT_GT(out.size(), 150);
  EXPECT_LT(out.size(), 200);
}

}  // namespace
}  // namespace verge::cli
