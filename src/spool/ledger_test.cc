#include "spool/ledger.h"

#include <set>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::spool {
namespace {

TEST(Ledger, KnowsWhatWasEnteredAndNotWhatWasWithdrawn) {
  Ledger ledger(10);
  EXPECT_EQ(ledger.enter("n1", 7), Ledger::Entry::kNew);
  EXPECT_EQ(ledger.enter("n1", 7), Ledger::Entry::kKnown);
  EXPECT_EQ(ledger.enter("n2", 7), Ledger::Entry::kNew);
  ledger.withdraw("n1", 7);
  EXPECT_EQ(ledger.enter("n1", 7), Ledger::Entry::kNew);
  ledger.raise_floor("n1", 100);
  EXPECT_EQ(ledger.enter("n1", 99), Ledger::Entry::kKnown);
  EXPECT_EQ(ledger.enter("n1", ~0ULL), Ledger::Entry::kTooManyHoles);
}

TEST(Ledger, RoundTrips) {
  Ledger ledger(100);
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::vector<std::pair<std::string, uint64_t>> entered;
  for (int i = 0; i < 500; ++i) {
    const std::string source = (random.chance(0.5) ? "d" : "n") + std::to_string(random.below(20));
    const uint64_t sequence = random.below(100);
    ledger.enter(source, sequence);
    entered.emplace_back(source, sequence);
  }
  std::string bytes;
  ledger.write(bytes);
  Ledger again(100);
  ASSERT_TRUE(again.read(bytes));
  for (const auto& [source, sequence] : entered) EXPECT_TRUE(again.contains(source, sequence));
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    Ledger torn(100);
    EXPECT_FALSE(torn.read(std::string_view(bytes).substr(0, cut)));
  }
}

// A rule that matches every second message leaves a hole for each it does not.
TEST(Ledger, ADeviceMayLeaveGapsForGood) {
  Ledger ledger(10);
  const uint64_t count = Ledger::kIntervalsMax * 3;
  for (uint64_t i = 1; i <= count; ++i) ASSERT_EQ(ledger.enter("d1", i * 2), Ledger::Entry::kNew) << i;
  EXPECT_EQ(ledger.enter("d1", count * 2), Ledger::Entry::kKnown);
  EXPECT_EQ(ledger.enter("d1", count * 2 - 1), Ledger::Entry::kNew);
}

// Children make holes without end: what makes no new stretch is taken, the rest is refused, and nothing is forgotten.
TEST(Ledger, TheStretchesOfAllChildrenTogetherAreBounded) {
  constexpr size_t kMax = 500;
  Ledger ledger(1000, kMax);
  std::vector<std::pair<std::string, uint64_t>> entered;
  size_t refused = 0;
  for (uint64_t round = 0; round < 10; ++round) {
    for (uint64_t child = 0; child < 100; ++child) {
      const std::string name = "n" + std::to_string(child);
      ledger.raise_floor(name, 1);
      if (ledger.enter(name, 10 + round * 2) == Ledger::Entry::kNew) {
        entered.emplace_back(name, 10 + round * 2);
      } else {
        ++refused;
      }
    }
    EXPECT_LE(ledger.stretches(), kMax);
  }
  EXPECT_GT(refused, 0U);
  for (const auto& [name, sequence] : entered) EXPECT_EQ(ledger.enter(name, sequence), Ledger::Entry::kKnown);
  for (uint64_t sequence = 1; sequence < 10; ++sequence) {
    EXPECT_EQ(ledger.enter("n5", sequence), Ledger::Entry::kNew) << "in order";
  }
  EXPECT_EQ(ledger.enter("d1", 5), Ledger::Entry::kNew) << "devices have a bound of their own";
}

TEST(Ledger, TheStretchesOfAllDevicesTogetherAreBounded) {
  constexpr size_t kMax = 500;
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  Ledger ledger(1000, kMax);
  std::set<std::pair<std::string, uint64_t>> entered;
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "d" + std::to_string(random.below(50));
    const uint64_t sequence = random.below(10'000);
    const Ledger::Entry entry = ledger.enter(name, sequence);
    ASSERT_NE(entry, Ledger::Entry::kTooManyHoles);
    if (entry == Ledger::Entry::kKnown) ASSERT_TRUE(entered.contains({name, sequence})) << "a loss";
    entered.insert({name, sequence});
    ASSERT_EQ(ledger.enter(name, sequence), Ledger::Entry::kKnown) << "the last of each is known";
    ASSERT_LE(ledger.stretches(), kMax);
  }
  Ledger one(1000, kMax);
  for (uint64_t i = 1; i < 2000; ++i) ASSERT_EQ(one.enter("d", 2 * i), Ledger::Entry::kNew);
  EXPECT_LE(one.stretches(), kMax);
  EXPECT_EQ(one.enter("d", 2 * 1999), Ledger::Entry::kKnown);
}

// Numbers that are unique and do not rise: none may pass for known that is not.
TEST(Ledger, ANewNumberOfADeviceIsNeverTakenForAKnownOne) {
  Ledger ledger(10);
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::set<uint64_t> entered;
  while (entered.size() < 3 * Ledger::kIntervalsMax) {
    const uint64_t number = random.below(1ULL << 31);
    if (entered.insert(number).second) ASSERT_EQ(ledger.enter("d1", number), Ledger::Entry::kNew) << number;
  }
}

TEST(Ledger, AChildWithTooManyHolesIsRefusedUntilTheyAreFilled) {
  Ledger ledger(10);
  for (uint64_t i = 1; i <= Ledger::kIntervalsMax; ++i) ASSERT_EQ(ledger.enter("n1", i * 2), Ledger::Entry::kNew);
  EXPECT_EQ(ledger.enter("n1", 1'000'000), Ledger::Entry::kTooManyHoles);
  EXPECT_EQ(ledger.enter("n1", 3), Ledger::Entry::kNew);
  EXPECT_EQ(ledger.enter("n1", 1'000'000), Ledger::Entry::kNew);
}

TEST(Ledger, ManyDevicesDoNotPushChildrenOut) {
  Ledger ledger(10);
  ledger.enter("n1", 5);
  for (int i = 0; i < 100; ++i) ledger.enter("d" + std::to_string(i), 1);
  EXPECT_EQ(ledger.sources(), 11U);
  EXPECT_EQ(ledger.enter("n1", 5), Ledger::Entry::kKnown);
  EXPECT_EQ(ledger.enter("d99", 1), Ledger::Entry::kKnown);
}

}  // namespace
}  // namespace verge::spool
