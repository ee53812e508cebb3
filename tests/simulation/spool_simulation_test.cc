// The production spool over a simulated disk: crashes, failed operations and flipped bits at random moments. After each
// crash the spool must open, hold everything that was acknowledged, and hold nothing twice.
#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "model/event.h"
#include "spool/record.h"
#include "spool/spool.h"
#include "tests/support/simulated_disk.h"

namespace verge::spool {
namespace {

constexpr const char* kDirectory = "data/spool";

// One life of a device and its node: numbered records are submitted, repeated until acknowledged, and must be stored
// once each.
class Life {
 public:
  explicit Life(uint64_t seed, bool encrypted = false) : random_(seed), disk_(random_.next()), encrypted_(encrypted) {
    if (encrypted_)
      EXPECT_TRUE(keys_.replace({.writing = used_keys_.emplace_back(crypto::Key::generate()), .reading = {}}));
  }

  void run() {
    open();
    for (int step = 0; step < 60; ++step) {
      if (encrypted_ && random_.chance(0.05)) change_keys();
      switch (random_.below(14)) {
        case 0:
          crash();
          break;
        case 1:
          disk_.fail_operation(1 + random_.below(6), random_.chance(0.5) ? "storage.full" : "storage.io",
                               random_.chance(0.3));
          break;
        case 2:
          deliver();
          break;
        case 3:
          (void)spool_->checkpoint();
          break;
        case 4:
          disk_.heal();
          submit(/*must_work=*/true);
          break;
        case 5:
          (void)spool_->prepare_segment();
          break;
        case 6:
          disk_.fail_read(1 + random_.below(4));
          deliver();
          break;
        default:
          submit();
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    disk_.heal();
    crash();
  }

  // The same things in the same order each time, with one failure in the way: the `n`th operation, or read, from the
  // very start. What it meets may fail, but the next start on a sound disk may not.
  struct Failure {
    uint64_t operation = 0;  // 0: none
    std::string_view code;
    bool sticky = false;
    uint64_t read = 0;  // 0: none
  };
  struct Extent {
    uint64_t operations = 0;
    uint64_t reads = 0;
  };
  Extent run_script(const Failure& failure) {
    if (failure.operation > 0) disk_.fail_operation(failure.operation, failure.code, failure.sticky);
    if (failure.read > 0) disk_.fail_read(failure.read);
    Spool::Recovery recovery;
    Result<std::unique_ptr<Spool>> opened = Spool::open(disk_, kDirectory, keys_, kOptions, recovery);
    if (opened) {
      spool_ = std::move(*opened);
    } else {
      disk_.heal();
      open();
    }
    for (int step = 0; step < 15 && !testing::Test::HasFatalFailure(); ++step) {
      submit();
      if (step % 3 == 2) deliver();
      if (step % 5 == 3) (void)spool_->prepare_segment();
      if (step == 9) (void)spool_->checkpoint();
      if (encrypted_ && step % 6 == 5) change_keys();
    }
    const Extent extent{disk_.operations(), disk_.reads()};
    disk_.heal();
    if (!testing::Test::HasFatalFailure()) crash();
    if (!testing::Test::HasFatalFailure()) submit(/*must_work=*/true);
    if (!testing::Test::HasFatalFailure()) crash();
    return extent;
  }

 private:
  static constexpr SpoolOptions kOptions{.bytes_max = 1U << 20, .segment_bytes = 4096};

  void open() {
    Spool::Recovery recovery;
    Result<std::unique_ptr<Spool>> opened = Spool::open(disk_, kDirectory, keys_, kOptions, recovery);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    spool_ = std::move(*opened);
  }

  // To a fresh key, or to none; earlier ones stay for reading.
  void change_keys() {
    storage::Keys keys{.writing = {}, .reading = used_keys_};
    if (random_.chance(0.8)) keys.writing = used_keys_.emplace_back(crypto::Key::generate());
    const Result<void> changed = spool_->change_keys(keys);
    // On a disk that fails it may not be possible to see whether all keys that are needed are there.
    if (!changed) ASSERT_NE(changed.error().code, "storage.key-missing");
  }

  void crash() {
    spool_.reset();
    disk_.heal();
    disk_.crash();
    open();
    if (testing::Test::HasFatalFailure()) return;
    check();
  }

  // `must_work`: the disk is sound, so that nothing but want of space may be refused.
  void submit(bool must_work = false) {
    std::vector<Submission> submissions(1 + random_.below(4));
    std::vector<Submission*> group;
    for (Submission& submission : submissions) {
      const uint64_t count = 1 + random_.below(8);
      for (uint64_t i = 0; i < count; ++i) {
        // A new record, or an old one again.
        const uint64_t number = random_.chance(0.3) && sent_ > 0 ? 1 + random_.below(sent_) : ++sent_;
        std::string event;
        append_event(event, {.topic = "t", .payload = std::to_string(number) + std::string(random_.below(300), 'x')});
        submission.items.push_back(
            {.priority = stream_of(number), .source = "device", .source_sequence = number, .event = event});
      }
      group.push_back(&submission);
    }
    spool_->commit(group);
    for (const Submission& submission : submissions) {
      if (must_work && submission.error.code != "spool.full") {
        ASSERT_EQ(submission.error.code, "") << submission.error.line();
      }
      for (size_t i = 0; i < submission.items.size(); ++i) {
        if (submission.fates[i] != Submission::Fate::kRefused)
          acknowledged_.insert(submission.items[i].source_sequence);
      }
    }
  }

  // The parent takes what is there.
  void deliver() {
    const Priority stream = kPriorities[random_.below(kStreams)];
    storage::LogReader reader(disk_, Spool::stream_directory(kDirectory, stream), keys_);
    const StreamState state = spool_->state(stream);
    reader.seek(state.delivered_through + 1);
    while (true) {
      const auto read = reader.next(state.end);
      if (!read) break;  // a read failed: another time
      for (const storage::DamagedRange& range : reader.take_damaged()) {
        FAIL() << range.path << " at " << range.offset << ": " << range.first_sequence << " to " << range.end_sequence;
      }
      const std::optional<storage::FrameView>& frame = *read;
      if (!frame) break;
      take(*frame);
      (void)spool_->delivered(stream, {1, frame->first_sequence + frame->count});
      if (random_.chance(0.2)) break;
    }
  }

  static Priority stream_of(uint64_t number) { return kPriorities[number % kStreams]; }

  // The parent's side: by (stream, sequence), as the receiver's ledger does.
  void take(const storage::FrameView& frame) {
    FrameRecords records(frame.body);
    uint64_t sequence = frame.first_sequence;
    while (const auto record = records.next()) {
      const auto key = std::pair(stream_of(record->source_sequence), sequence++);
      const auto [place, is_new] = delivered_.emplace(key, record->source_sequence);
      ASSERT_EQ(place->second, record->source_sequence) << "a sequence was used twice";
      if (is_new) ASSERT_TRUE(delivered_numbers_.insert(record->source_sequence).second) << "delivered twice";
    }
  }

  // What is in the logs now, together with what the parent has, is what was acknowledged, once.
  void check() {
    std::map<uint64_t, uint64_t> held;
    for (const Priority stream : kPriorities) {
      storage::LogReader reader(disk_, Spool::stream_directory(kDirectory, stream), keys_);
      reader.seek(spool_->state(stream).delivered_through + 1);
      while (true) {
        const auto read = reader.next(spool_->state(stream).end);
        ASSERT_TRUE(read.has_value()) << read.error().line();
        const std::optional<storage::FrameView>& frame = *read;
        if (!frame) break;
        FrameRecords records(frame->body);
        uint64_t sequence = frame->first_sequence;
        while (const auto record = records.next()) {
          if (delivered_.contains({stream, sequence++})) continue;  // the parent knows it: the cursor went back
          ++held[record->source_sequence];
        }
      }
    }
    for (const auto& [number, times] : held) {
      ASSERT_EQ(times, 1U) << "number " << number << " is stored twice";
      ASSERT_FALSE(delivered_numbers_.contains(number)) << "number " << number << " would be delivered twice";
    }
    for (const uint64_t number : acknowledged_) {
      ASSERT_TRUE(held.contains(number) || delivered_numbers_.contains(number)) << "number " << number << " is lost";
    }
  }

  Random random_;
  tests::SimulatedDisk disk_;
  const bool encrypted_;
  storage::KeyRing keys_;
  std::vector<crypto::Key> used_keys_;
  std::unique_ptr<Spool> spool_;
  uint64_t sent_ = 0;
  std::set<uint64_t> acknowledged_;
  std::map<std::pair<Priority, uint64_t>, uint64_t> delivered_;
  std::set<uint64_t> delivered_numbers_;
};

TEST(SpoolSimulation, NothingAcknowledgedIsLostOrStoredTwice) {
  const char* given = std::getenv("VERGE_SEED");
  const char* runs_given = std::getenv("VERGE_SIMULATION_RUNS");
  const uint64_t first = given ? std::strtoull(given, nullptr, 10) : system_seed();
  const uint64_t runs = runs_given ? std::strtoull(runs_given, nullptr, 10) : given ? 1 : 300;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    Life(seed, /*encrypted=*/seed % 2 == 1).run();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// Every system call of a spool's life fails in turn, once and from then on, for want of space and for a broken disk.
TEST(SpoolSimulation, AnErrorAtEveryOperationInTurn) {
  constexpr uint64_t kSeed = 42;
  for (const bool encrypted : {false, true}) {
    SCOPED_TRACE(encrypted ? "encrypted" : "plain");
    const Life::Extent extent = Life(kSeed, encrypted).run_script({});
    ASSERT_GT(extent.operations, 50U);
    for (uint64_t n = 1; n <= extent.operations; ++n) {
      for (const std::string_view code : {"storage.full", "storage.io"}) {
        for (const bool sticky : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << "operation " << n << ", " << code << (sticky ? ", from then on" : ", once"));
          Life(kSeed, encrypted).run_script({.operation = n, .code = code, .sticky = sticky});
          ASSERT_FALSE(testing::Test::HasFailure());
        }
      }
    }
    for (uint64_t n = 1; n <= extent.reads; ++n) {
      SCOPED_TRACE(testing::Message() << "read " << n);
      Life(kSeed, encrypted).run_script({.read = n});
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

// A flipped bit anywhere in a log costs at most the frame it is in; the start and the rest are unharmed.
TEST(SpoolSimulation, AFlippedBitCostsOneFrame) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 100; ++round) {
    tests::SimulatedDisk disk(random.next());
    Spool::Recovery recovery;
    storage::KeyRing keys;
    const bool encrypted = random.chance(0.5);
    if (encrypted) ASSERT_TRUE(keys.replace({.writing = crypto::Key::generate(), .reading = {}}));
    std::unique_ptr<Spool> spool = *Spool::open(disk, kDirectory, keys, {.segment_bytes = 1U << 20}, recovery);
    constexpr uint64_t kFrames = 20;
    for (uint64_t number = 1; number <= kFrames; ++number) {
      Submission submission;
      std::string event;
      append_event(event, {.topic = "t", .payload = std::string(100, 'x')});
      submission.items.push_back({.priority = Priority::kNormal, .source = {}, .source_sequence = 0, .event = event});
      std::vector<Submission*> group{&submission};
      spool->commit(group);
    }
    spool.reset();
    const std::string path = std::string(kDirectory) + "/normal/00000000000000000001.log";
    disk.flip_bit(path, random.below(storage::kSegmentHeaderBytes + kFrames * 160));
    spool = *Spool::open(disk, kDirectory, keys, {.segment_bytes = 1U << 20}, recovery);
    EXPECT_GT(spool->state(Priority::kNormal).end, kFrames);
    storage::LogReader reader(disk, Spool::stream_directory(kDirectory, Priority::kNormal), keys);
    uint64_t found = 0;
    while (*reader.next(spool->state(Priority::kNormal).end)) ++found;
    EXPECT_GE(found, kFrames - 1);
    EXPECT_EQ(recovery.damaged.size(), kFrames - found);
  }
}

// As of a disk that grows old: the start does not fail for it, what is lost is said, and the rest is there. The first
// sector of a file has what its frames are recognised by.
TEST(SpoolSimulation, ASectorThatCannotBeReadHidesWhatIsInItAndNoMore) {
  constexpr SpoolOptions kOptions{.bytes_max = 1U << 20, .segment_bytes = 4096};
  constexpr uint64_t kRecords = 30;
  constexpr uint64_t kFramesInSector = 3;
  const std::string directory = Spool::stream_directory(kDirectory, Priority::kNormal);
  std::string event;
  append_event(event, {.topic = "t", .payload = std::string(300, 'x')});
  for (const bool encrypted : {false, true}) {
    tests::SimulatedDisk disk(1);
    storage::KeyRing keys;
    if (encrypted) ASSERT_TRUE(keys.replace({.writing = crypto::Key::generate(), .reading = {}}));
    std::unique_ptr<Spool> spool;
    Spool::Recovery recovery;
    const auto open = [&] {
      recovery = {};
      Result<std::unique_ptr<Spool>> opened = Spool::open(disk, kDirectory, keys, kOptions, recovery);
      ASSERT_TRUE(opened.has_value()) << opened.error().line();
      spool = std::move(*opened);
    };
    const auto store = [&] {
      Submission submission;
      submission.items.push_back({.priority = Priority::kNormal, .source = {}, .source_sequence = 0, .event = event});
      std::vector<Submission*> group{&submission};
      spool->commit(group);
      ASSERT_EQ(submission.fates[0], Submission::Fate::kStored) << submission.error.line();
    };
    open();
    for (uint64_t i = 0; i < kRecords; ++i) store();
    ASSERT_TRUE(spool->checkpoint());
    spool.reset();
    const tests::SimulatedDisk::Copy sound = disk.copy();

    for (const auto& [path, content] : sound) {
      if (!path.starts_with(directory + "/")) continue;
      for (size_t at = 0; at < content.size(); at += storage::File::kSectorBytes) {
        SCOPED_TRACE(testing::Message() << path << " at " << at << (encrypted ? ", encrypted" : ""));
        disk.put_back(sound);
        disk.spoil_sector(path, at);
        open();
        if (testing::Test::HasFatalFailure()) return;
        store();
        IntervalSet accounted;
        for (const storage::DamagedRange& range : recovery.damaged) {
          accounted.insert({range.first_sequence, range.end_sequence});
        }
        storage::LogReader reader(disk, directory, keys);
        uint64_t last = 0;
        while (true) {
          const Result<std::optional<storage::FrameView>> read = reader.next(spool->state(Priority::kNormal).end);
          ASSERT_TRUE(read) << read.error().line();
          const std::optional<storage::FrameView>& frame = *read;
          if (!frame) break;
          last = frame->first_sequence;
          accounted.insert(last);
        }
        EXPECT_EQ(last + 1, spool->state(Priority::kNormal).end) << "the record that was stored since";
        uint64_t damaged = accounted.missing(1, kRecords + 1);
        for (const storage::DamagedRange& range : reader.take_damaged()) {
          accounted.insert({range.first_sequence, range.end_sequence});
        }
        for (const storage::DamagedRange& range : recovery.damaged)
          damaged += range.end_sequence - range.first_sequence;
        EXPECT_EQ(accounted.missing(1, kRecords + 1), 0U) << "neither there nor reported";
        if (at > 0) EXPECT_LE(damaged, kFramesInSector);
        spool.reset();
        open();
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace verge::spool
