// The identities under which a parent knows a spool's records, over a simulated disk that is put back, full, or fails.
#include "spool/lives.h"

#include <gtest/gtest.h>

#include "tests/support/simulated_disk.h"

namespace verge::spool {
namespace {

constexpr const char* kDirectory = "data/spool";

Lives started(Result<Lives> lives) {
  if (!lives) ADD_FAILURE() << lives.error().line();
  return lives.value_or(Lives());
}

class LivesTest : public testing::Test {
 protected:
  // Each stream's next sequence, and what the parent has, is the same.
  Result<Lives> start(uint64_t next, uint64_t done = 1, bool is_fresh = false) {
    said.clear();
    return Lives::start(disk, kDirectory,
                        {.id = NodeId::generate(),
                         .first_id = first,
                         .next = {next, next, next, next},
                         .done = {done, done, done, done},
                         .is_fresh = is_fresh},
                        said);
  }

  Lives value_of_file() { return Lives::parse(disk.content(Lives::path(kDirectory))).value_or(Lives()); }

  tests::SimulatedDisk disk{1};
  NodeId first = NodeId::generate();
  std::vector<Error> said;
};

TEST_F(LivesTest, WhatIsGivenAfterAStartIsItsOwn) {
  const Lives one = started(start(1, 1, /*is_fresh=*/true));
  EXPECT_EQ(one.part_of(Priority::kLow, 1).id, first);
  EXPECT_EQ(one.part_of(Priority::kLow, 1).end, UINT64_MAX);
  const Lives two = started(start(100));
  EXPECT_EQ(two.part_of(Priority::kNormal, 99).id, first);
  EXPECT_EQ(two.part_of(Priority::kNormal, 99).end, 100U);
  EXPECT_NE(two.part_of(Priority::kNormal, 100).id, first);
  EXPECT_EQ(two.part_of(Priority::kNormal, 100).end, UINT64_MAX);
  EXPECT_TRUE(said.empty());
}

// A start that finds nothing begins anew, and again when nothing came of it.
TEST_F(LivesTest, AFreshOneIsWhatIsFoundLater) {
  for (int i = 0; i < 3; ++i) {
    first = NodeId::generate();
    ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
    ASSERT_EQ(value_of_file().part_of(Priority::kLow, 1).id, first);
  }
  EXPECT_EQ(started(start(10)).part_of(Priority::kLow, 1).id, first);
}

TEST_F(LivesTest, WhatIsPutBackIsNotTakenForWhatCameAfter) {
  ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
  ASSERT_TRUE(start(100));
  const std::string earlier = disk.content(Lives::path(kDirectory));
  const NodeId later = started(start(200)).part_of(Priority::kHigh, 200).id;
  disk.overwrite(Lives::path(kDirectory), earlier);
  const Lives again = started(start(200));
  EXPECT_NE(again.part_of(Priority::kHigh, 200).id, later);
  EXPECT_EQ(again.part_of(Priority::kHigh, 99).id, first);
}

TEST_F(LivesTest, ThoseThatGaveNothingOrAreDoneWithAreForgotten) {
  ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(start(50));
  EXPECT_EQ(started(start(50)).all().size(), 2U);
  EXPECT_EQ(started(start(60)).all().size(), 3U);
  EXPECT_EQ(started(start(70, 60)).all().size(), 2U);
}

TEST_F(LivesTest, AreBounded) {
  ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
  for (uint64_t next = 2; next < 3 * Lives::kMost; ++next) ASSERT_TRUE(start(next));
  const Lives lives = started(start(3 * Lives::kMost));
  EXPECT_EQ(lives.all().size(), Lives::kMost);
  EXPECT_EQ(lives.part_of(Priority::kCritical, 1).id, lives.all().front().id);
}

TEST_F(LivesTest, ASpoolOfAnOlderVersionKeepsItsIdentityForWhatItHas) {
  const Lives lives = started(start(500));
  EXPECT_EQ(lives.part_of(Priority::kCritical, 499).id, first);
  EXPECT_NE(lives.part_of(Priority::kCritical, 500).id, first);
}

TEST_F(LivesTest, OneDamagedSlotCostsNothingAndTwoAreReported) {
  ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
  const Lives two = started(start(100));
  // The slot that was written last is the one that has both.
  for (const uint64_t slot : {0, 1}) {
    disk.overwrite(Lives::path(kDirectory), two.content());
    disk.flip_bit(Lives::path(kDirectory), slot * Lives::kSlotBytes + 20);
    EXPECT_EQ(started(start(200)).part_of(Priority::kLow, 150).id, two.part_of(Priority::kLow, 150).id);
    EXPECT_TRUE(said.empty());
  }
  disk.overwrite(Lives::path(kDirectory), std::string(2 * Lives::kSlotBytes, '\0'));
  const Lives fresh = started(start(300));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].code, "spool.lives-lost");
  EXPECT_NE(fresh.part_of(Priority::kLow, 1).id, first);  // it may know more than was given here
}

TEST_F(LivesTest, AFullDiskDoesNotStopAStart) {
  ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
  disk.fail_operation(2, "storage.full", /*sticky=*/true);
  EXPECT_EQ(started(start(100)).part_of(Priority::kLow, 100).id, first);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].code, "spool.life-not-noted");
  disk.heal();
  EXPECT_NE(started(start(100)).part_of(Priority::kLow, 100).id, first);
  EXPECT_TRUE(said.empty());
}

// Each operation of a start fails, and power is cut at once: what a start said is what the next one finds.
TEST_F(LivesTest, WhatAStartSaidIsFound) {
  for (uint64_t seed = 1; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    disk = tests::SimulatedDisk(seed);
    ASSERT_TRUE(start(1, 1, /*is_fresh=*/true));
    Lives last = started(start(2));
    for (uint64_t next = 3; next < 8; ++next) {
      disk.fail_operation(1 + seed % 5, seed % 2 == 0 ? "storage.full" : "storage.io", seed % 3 == 0);
      const Result<Lives> failing = start(next);
      disk.heal();
      if (failing) last = *failing;
      if (seed % 7 == 0) disk.crash();
      const Lives found = started(start(next));
      for (uint64_t sequence = 1; sequence + 1 < next; ++sequence) {
        ASSERT_EQ(found.part_of(Priority::kLow, sequence).id, last.part_of(Priority::kLow, sequence).id) << sequence;
      }
      last = found;
    }
  }
}

}  // namespace
}  // namespace verge::spool
