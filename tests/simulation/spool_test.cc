// What the spool promises at single moments, over a simulated disk: what is given up is gone for good, what is replayed
// is recognised, sequences are used once.
#include "spool/spool.h"

#include <gtest/gtest.h>

#include "model/event.h"
#include "spool/inspection.h"
#include "spool/record_reader.h"
#include "tests/support/simulated_disk.h"

namespace verge::spool {
namespace {

constexpr const char* kDirectory = "data/spool";
constexpr SpoolOptions kOptions{.bytes_max = 1U << 20, .segment_bytes = 4096};
constexpr uint64_t kSeeds = 100;

class SpoolOnDisk : public testing::Test {
 protected:
  void open(const SpoolOptions& options = kOptions) {
    spool.reset();
    recovery = {};
    Result<std::unique_ptr<Spool>> opened = Spool::open(*disk, kDirectory, keys, options, recovery);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    spool = std::move(*opened);
  }
  void fresh(uint64_t seed) {
    spool.reset();
    disk = std::make_unique<tests::SimulatedDisk>(seed);
    open();
  }

  Submission::Fate store(Submission::Item item) {
    Submission submission;
    submission.items.push_back(std::move(item));
    std::vector<Submission*> group{&submission};
    spool->commit(group);
    error = submission.error;
    return submission.fates[0];
  }
  // A record of nobody who numbers.
  Submission::Fate store(const std::string& payload, Priority stream = Priority::kNormal) {
    return store({.priority = stream, .event = event_of(payload)});
  }
  static std::string event_of(const std::string& payload) {
    std::string event;
    append_event(event, {.topic = "t", .payload = payload});
    return event;
  }

  std::vector<std::string> payloads(Priority stream) {
    std::vector<std::string> found;
    Result<Inspection> inspection = Inspection::open(*disk, kDirectory, keys);
    EXPECT_TRUE(inspection);
    EXPECT_TRUE(inspection->for_each(stream, [&](const InspectedRecord& record) {
      found.emplace_back(record.event.payload);
      return true;
    }));
    return found;
  }

  std::unique_ptr<tests::SimulatedDisk> disk = std::make_unique<tests::SimulatedDisk>(1);
  storage::KeyRing keys;
  Spool::Recovery recovery;
  std::unique_ptr<Spool> spool;
  Error error;
};

TEST_F(SpoolOnDisk, WhatIsDiscardedIsGoneWhenThatIsSaid) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    fresh(seed);
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(store({.source = "ddevice",
                       .source_sequence = static_cast<uint64_t>(i),
                       .event = event_of("secret" + std::string(200, 'x'))}),
                Submission::Fate::kStored);
      ASSERT_EQ(store("other", Priority::kLow), Submission::Fate::kStored);
    }
    const uint64_t end = spool->state(Priority::kNormal).end;
    const Result<uint64_t> discarded = spool->discard(Priority::kNormal);
    ASSERT_TRUE(discarded) << discarded.error().line();
    EXPECT_EQ(*discarded, 40U);
    disk->crash();
    open();
    EXPECT_EQ(payloads(Priority::kNormal), std::vector<std::string>{});
    EXPECT_EQ(spool->state(Priority::kNormal).undelivered, 0U);
    EXPECT_EQ(payloads(Priority::kLow).size(), 40U);
    EXPECT_GE(spool->state(Priority::kNormal).end, end) << "no sequence is used twice";
    for (const std::string& path : disk->paths()) {
      EXPECT_EQ(disk->content(path).find("secret"), std::string::npos) << path;
    }
    EXPECT_EQ(store({.source = "ddevice", .source_sequence = 7, .event = event_of("again")}), Submission::Fate::kKnown);
  }
}

TEST_F(SpoolOnDisk, AnErrorWhileDiscardingIsSaid) {
  size_t said = 0;
  for (uint64_t n = 1; n < 12; ++n) {
    SCOPED_TRACE(n);
    fresh(n);
    for (int i = 0; i < 40; ++i) ASSERT_EQ(store(std::string(200, 'x')), Submission::Fate::kStored);
    disk->fail_operation(n, "storage.io", /*sticky=*/true);
    const bool done = spool->discard(Priority::kNormal).has_value();
    disk->heal();
    disk->crash();
    open();
    if (done) EXPECT_EQ(spool->state(Priority::kNormal).undelivered, 0U);
    said += done ? 0 : 1;
  }
  EXPECT_GT(said, 0U) << "a disk that fails is no discarding that is done";
}

// The segment that stays when all is delivered may have been a file of the reserve whose new header was not synced.
TEST_F(SpoolOnDisk, SequencesAreNotUsedTwiceWhenAllIsDeliveredAndPowerIsCut) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    fresh(seed);
    const SpoolOptions tight{.bytes_max = 64U << 10, .segment_bytes = 4096};
    open(tight);
    uint64_t end = 1;
    for (int round = 0; round < 3; ++round) {
      while (!spool->is_short_of_space()) ASSERT_EQ(store(std::string(300, 'x')), Submission::Fate::kStored);
      (void)spool->prepare_segment();
      end = spool->state(Priority::kNormal).end;
      ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, end}));
    }
    const NodeId incarnation = spool->incarnation();
    disk->crash();
    open(tight);
    if (spool->incarnation() == incarnation) EXPECT_GE(spool->state(Priority::kNormal).end, end);
  }
}

TEST_F(SpoolOnDisk, NoDeviceHasTheNameUnderWhichDeadLettersAreReplayed) {
  open();
  const std::string event = event_of("refused");
  ASSERT_EQ(store("refused"), Submission::Fate::kStored);
  ASSERT_TRUE(spool->bury({.stream = Priority::kNormal, .sequence = 1, .event = event}));
  // What a device of any name, and a rule of any name, could have been given before.
  ASSERT_EQ(store({.source = "ddead-letter\nnormal\n0", .source_sequence = 1, .event = event}),
            Submission::Fate::kStored);
  std::vector<storage::DamagedRange> damaged;
  const Result<uint64_t> replayed = spool->replay_dead_letters(damaged);
  ASSERT_TRUE(replayed);
  EXPECT_EQ(*replayed, 1U);
  EXPECT_EQ(payloads(Priority::kNormal), std::vector<std::string>(3, "refused"));
  Result<Inspection> inspection = Inspection::open(*disk, kDirectory, keys);
  ASSERT_TRUE(inspection);
  std::string source;
  EXPECT_TRUE(inspection->for_each(Priority::kNormal, [&](const InspectedRecord& record) {
    source = record.source;
    return true;
  }));
  EXPECT_EQ(source.substr(0, 1), "l") << source;
}

// As a process does that was killed after the records were back and before the letters were gone.
TEST_F(SpoolOnDisk, LettersThatWereReplayedAreRecognised) {
  open();
  const std::string event = event_of("refused");
  ASSERT_EQ(store("refused"), Submission::Fate::kStored);
  ASSERT_TRUE(spool->bury({.stream = Priority::kNormal, .sequence = 1, .event = event}));
  disk->fail_operation(4, "storage.io", /*sticky=*/true);  // after the write and the sync of the record
  std::vector<storage::DamagedRange> damaged;
  const bool replayed = spool->replay_dead_letters(damaged).has_value();
  EXPECT_FALSE(replayed);
  disk->heal();
  disk->crash();
  open();
  ASSERT_TRUE(spool->replay_dead_letters(damaged));
  EXPECT_LE(payloads(Priority::kNormal).size(), 2U);
  EXPECT_EQ(spool->dead_letters(), 0U);
}

// Of a start: each of the directories in turn cannot be made.
// Of two that come together only the first is written. Where that fails, neither is stored, and both are told why.
TEST_F(SpoolOnDisk, ARepetitionOfWhatCannotBeStoredIsRefusedWithAReason) {
  open();
  for (uint64_t number = 1; number <= 3; ++number) {
    disk->fail_operation(number, "storage.io", /*sticky=*/true);
    std::array<Submission, 2> submissions;
    std::vector<Submission*> group;
    for (Submission& submission : submissions) {
      submission.items.push_back({.source = "ddevice", .source_sequence = number, .event = event_of("x")});
      group.push_back(&submission);
    }
    spool->commit(group);
    for (const Submission& submission : submissions) {
      EXPECT_EQ(submission.fates[0], Submission::Fate::kRefused);
      EXPECT_EQ(submission.error.code, "storage.io");
    }
    disk->heal();
  }
}

TEST_F(SpoolOnDisk, WhatWasThereToLookForSpaceIsRemovedAtTheStart) {
  open();
  ASSERT_TRUE(disk->open(std::string(kDirectory) + "/probe", storage::OpenMode::kCreate));
  open();
  for (const std::string& path : disk->paths()) EXPECT_FALSE(path.ends_with("/probe"));
}

TEST_F(SpoolOnDisk, AStreamThatDropsItsOldestDoesSoOnAFullDiskThoughItHasOneSegmentAlone) {
  SpoolOptions options = kOptions;
  options.streams[static_cast<size_t>(Priority::kNormal)].when_full = WhenFull::kDropOldest;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    disk = std::make_unique<tests::SimulatedDisk>(seed);
    open(options);
    ASSERT_TRUE(spool->prepare_segment());
    ASSERT_EQ(store("first"), Submission::Fate::kStored);
    disk->fill(true);
    // Each of a third of a segment; what became ready before goes too.
    std::vector<std::string> stored;
    for (int number = 0; number < 60; ++number) {
      stored.push_back(std::to_string(number) + std::string(1200, 'x'));
      ASSERT_EQ(store(stored.back()), Submission::Fate::kStored) << number << ": " << error.line();
    }
    const std::vector<std::string> kept = payloads(Priority::kNormal);
    ASSERT_GE(kept.size(), 2U);
    EXPECT_TRUE(std::equal(kept.rbegin(), kept.rend(), stored.rbegin())) << "the oldest went, in order";
    // What is held back is for these, still.
    EXPECT_EQ(store("alarm", Priority::kCritical), Submission::Fate::kStored) << error.line();
  }
}

TEST_F(SpoolOnDisk, ADirectoryThatCannotBeMadeIsAnErrorAndNotTheEnd) {
  size_t failures = 0;
  for (uint64_t n = 1; n < 40; ++n) {
    spool.reset();
    disk = std::make_unique<tests::SimulatedDisk>(n);
    disk->fail_make_directory(n);
    recovery = {};
    const Result<std::unique_ptr<Spool>> opened = Spool::open(*disk, kDirectory, keys, kOptions, recovery);
    disk->heal();
    if (opened) break;
    ++failures;
    EXPECT_EQ(opened.error().code, "storage.full");
    open();
    EXPECT_EQ(store("x"), Submission::Fate::kStored);
  }
  EXPECT_EQ(failures, 13U) << "spool/, then twice each: four streams, dead letters, the reserve";
}

}  // namespace
}  // namespace verge::spool
