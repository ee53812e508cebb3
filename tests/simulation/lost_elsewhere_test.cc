// What others lost, each as a test of its name, on the production spool over a simulated disk. Those that need a parent
// are in tests/integration/test_uplink.py.
#include <algorithm>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "model/event.h"
#include "spool/record_reader.h"
#include "spool/spool.h"
#include "tests/support/simulated_disk.h"

namespace verge::spool {
namespace {

constexpr const char* kDirectory = "data/spool";
constexpr SpoolOptions kOptions{.bytes_max = 1U << 20, .segment_bytes = 4096};

// The parameter: whether the spool is encrypted.
class LostElsewhere : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) ASSERT_TRUE(keys.replace({.writing = crypto::Key::generate(), .reading = {}}));
    open();
  }

  void open() {
    spool.reset();
    recovery = {};
    Result<std::unique_ptr<Spool>> opened = Spool::open(disk, kDirectory, keys, kOptions, recovery);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    spool = std::move(*opened);
  }

  // One message of a device, in a commit of its own; numbered, unless `source` is empty.
  Submission::Fate store(uint64_t number, size_t bytes = 200, std::string source = "ddevice") {
    Submission submission;
    std::string event;
    append_event(event, {.topic = "t", .payload = std::to_string(number) + std::string(bytes, 'x')});
    submission.items.push_back({.source = std::move(source), .source_sequence = number, .event = event});
    std::vector<Submission*> group{&submission};
    spool->commit(group);
    return submission.fates[0];
  }
  void store_all(uint64_t from, uint64_t end) {
    for (uint64_t number = from; number < end; ++number) ASSERT_EQ(store(number), Submission::Fate::kStored) << number;
  }

  // The numbers that can be read from what the parent does not have.
  std::vector<uint64_t> waiting() {
    std::vector<uint64_t> numbers;
    RecordReader reader(disk, Spool::stream_directory(kDirectory, Priority::kNormal), keys);
    const StreamState state = spool->state(Priority::kNormal);
    reader.seek(state.delivered_through + 1);
    while (const auto next = *reader.next(state.end)) numbers.push_back(next->record.source_sequence);
    return numbers;
  }

  std::vector<std::string> segments() {
    std::vector<std::string> found;
    for (const std::string& path : disk.paths()) {
      if (path.starts_with(std::string(kDirectory) + "/normal/") && path.ends_with(".log")) found.push_back(path);
    }
    return found;
  }

  tests::SimulatedDisk disk{1};
  storage::KeyRing keys;
  std::unique_ptr<Spool> spool;
  Spool::Recovery recovery;
};

std::vector<uint64_t> numbers(uint64_t from, uint64_t end) {
  std::vector<uint64_t> all;
  for (uint64_t number = from; number < end; ++number) all.push_back(number);
  return all;
}

TEST_P(LostElsewhere, RemovedBeforeItWasAcknowledged) {
  store_all(1, 101);
  ASSERT_GT(segments().size(), 4U);
  EXPECT_EQ(waiting(), numbers(1, 101));
  open();
  EXPECT_EQ(waiting(), numbers(1, 101)) << "nothing goes because it was read";
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, 51}));
  const uint64_t first_left = spool->state(Priority::kNormal).delivered_through + 1;
  EXPECT_EQ(first_left, 51U);
  EXPECT_EQ(waiting(), numbers(51, 101));
}

TEST_P(LostElsewhere, FileOfNulBytesAfterPowerLoss) {
  store_all(1, 101);
  ASSERT_TRUE(spool->checkpoint());
  std::vector<std::string> victims = segments();
  for (const char* file : {"/cursors", "/ledger", "/incarnation", "/lives"})
    victims.push_back(std::string(kDirectory) + file);
  for (const std::string& victim : victims) {
    SCOPED_TRACE(victim);
    const std::string sound = disk.content(victim);
    disk.overwrite(victim, std::string(sound.size(), '\0'));
    open();
    ASSERT_FALSE(HasFatalFailure());
    std::vector<std::string> replaced;
    for (const Error& error : recovery.replaced) replaced.emplace_back(error.code);
    const bool is_ledger = victim.ends_with("/ledger");
    const bool is_incarnation = victim.ends_with("/incarnation");
    const bool are_lives = victim.ends_with("/lives");
    EXPECT_EQ(replaced, is_ledger        ? std::vector<std::string>{"spool.ledger-lost"}
                        : is_incarnation ? std::vector<std::string>{"spool.incarnation-lost"}
                        : are_lives      ? std::vector<std::string>{"spool.lives-lost"}
                                         : std::vector<std::string>{});
    EXPECT_GE(waiting().size(), 101 - 1 - 4096 / 200);
    EXPECT_EQ(store(1000 + victims.size()), Submission::Fate::kStored);
    spool.reset();
    disk = tests::SimulatedDisk(1);
    open();
    store_all(1, 101);
    ASSERT_TRUE(spool->checkpoint());
  }
}

// Power is cut at each step of giving space back, from the note of what was delivered to the last removal.
TEST_P(LostElsewhere, CrashBetweenUnlinkAndLedger) {
  for (uint64_t step = 1; step < 40; ++step) {
    SCOPED_TRACE(step);
    disk = tests::SimulatedDisk(step);
    open();
    store_all(1, 101);
    disk.fail_operation(step, "storage.io", /*sticky=*/true);
    const bool is_through = spool->delivered(Priority::kNormal, {1, 61}).has_value();
    disk.heal();
    spool.reset();
    disk.crash();
    open();
    ASSERT_FALSE(HasFatalFailure());
    for (uint64_t number = 1; number < 101; ++number) {
      ASSERT_EQ(store(number), Submission::Fate::kKnown) << "the device repeats " << number;
    }
    const std::vector<uint64_t> left = waiting();
    for (const uint64_t number : numbers(61, 101)) {
      ASSERT_EQ(std::ranges::count(left, number), 1) << number;
    }
    if (is_through) break;
  }
}

// A process is killed between its write and its sync, and the next one reads what was written. Before it takes that for
// stored, it has to be on the disk.
TEST_P(LostElsewhere, KilledBeforeTheSyncThenPowerCut) {
  for (uint64_t seed = 1; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    disk = tests::SimulatedDisk(seed);
    open();
    ASSERT_EQ(store(1), Submission::Fate::kStored);
    disk.fail_operation(2, "storage.io", /*sticky=*/true);
    ASSERT_EQ(store(2), Submission::Fate::kRefused);
    disk.heal();
    open();
    ASSERT_NE(store(2), Submission::Fate::kRefused);
    spool.reset();
    disk.crash();
    open();
    EXPECT_EQ(waiting(), numbers(1, 3));
  }
}

// A group that fills segments, and an operation fails between two of them: what the first holds is there, and is not to
// be stored again; or it is lost, and is.
TEST_P(LostElsewhere, RefusedThoughItIsDurable) {
  for (uint64_t operation = 1; operation < 30; ++operation) {
    SCOPED_TRACE(operation);
    disk = tests::SimulatedDisk(operation);
    open();
    ASSERT_EQ(store(1), Submission::Fate::kStored);
    disk.fail_operation(operation, "storage.full", /*sticky=*/false);
    for (int attempt = 0; attempt < 2; ++attempt) {
      Submission submission;
      for (uint64_t number = 2; number < 80; ++number) {
        std::string event;
        append_event(event, {.topic = "t", .payload = std::to_string(number) + std::string(200, 'x')});
        submission.items.push_back({.source = "ddevice", .source_sequence = number, .event = event});
      }
      std::vector<Submission*> group{&submission};
      spool->commit(group);
    }
    std::vector<uint64_t> left = waiting();
    std::ranges::sort(left);
    EXPECT_EQ(left, numbers(1, 80)) << "each once";
  }
}

// A group makes the oldest go, with which goes a snapshot of the ledger; then power is cut before the group is durable.
TEST_P(LostElsewhere, KnownBeforeItWasStored) {
  SpoolOptions options{.bytes_max = 64U << 10, .segment_bytes = 4096};
  options.streams[static_cast<size_t>(Priority::kNormal)].when_full = WhenFull::kDropOldest;
  constexpr uint64_t kFirst = 1000;
  constexpr uint64_t kEnd = 1030;
  for (uint64_t operation = 1; operation < 40; ++operation) {
    SCOPED_TRACE(operation);
    disk = tests::SimulatedDisk(operation);
    spool = std::move(*Spool::open(disk, kDirectory, keys, options, recovery));
    for (uint64_t number = 1; spool->state(Priority::kNormal).dropped == 0; ++number) {
      ASSERT_EQ(store(number), Submission::Fate::kStored);
    }
    disk.fail_operation(operation, "storage.io", /*sticky=*/true);
    Submission submission;
    for (uint64_t number = kFirst; number < kEnd; ++number) {
      std::string event;
      append_event(event, {.topic = "t", .payload = std::string(200, 'x')});
      submission.items.push_back({.source = "ddevice", .source_sequence = number, .event = event});
    }
    std::vector<Submission*> group{&submission};
    spool->commit(group);
    disk.heal();
    spool.reset();
    disk.crash();
    spool = std::move(*Spool::open(disk, kDirectory, keys, options, recovery));
    for (uint64_t number = kFirst; number < kEnd; ++number) ASSERT_NE(store(number), Submission::Fate::kRefused);
    std::vector<uint64_t> left = waiting();
    std::erase_if(left, [](uint64_t number) { return number < kFirst; });
    std::ranges::sort(left);
    EXPECT_EQ(left, numbers(kFirst, kEnd));
  }
}

// The last frame rots, or the header of the file that is being written, and no later file says that there was anything.
TEST_P(LostElsewhere, DamageAtTheEndGoesUnnoticed) {
  constexpr size_t kInHeader = 10;
  for (const size_t at : {kInHeader, storage::kSegmentHeaderBytes + storage::kFrameHeaderBytes + 5}) {
    SCOPED_TRACE(at);
    disk = tests::SimulatedDisk(at);
    open();
    store_all(1, 2);
    disk.flip_bit(segments().back(), at);
    if (at == kInHeader) disk.flip_bit(segments().back(), at + storage::kSegmentHeaderCopyBytes);
    RecordReader reader(disk, Spool::stream_directory(kDirectory, Priority::kNormal), keys);
    const auto next = reader.next(spool->state(Priority::kNormal).end);
    ASSERT_TRUE(next.has_value());
    EXPECT_FALSE(next->has_value());
    const std::vector<storage::DamagedRange> damaged = reader.take_damaged();
    ASSERT_EQ(damaged.size(), 1U);
    EXPECT_EQ(damaged[0].first_sequence, 1U);
    EXPECT_EQ(damaged[0].end_sequence, 2U);
    // A start says the same, of a file that no frame can be told from garbage in, too.
    spool.reset();
    Spool::Recovery recovery;
    const auto opened = Spool::open(disk, kDirectory, keys, {}, recovery);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    ASSERT_EQ(recovery.damaged.size(), 1U);
    EXPECT_EQ(recovery.damaged[0].first_sequence, 1U);
    EXPECT_EQ(recovery.damaged[0].end_sequence, 2U);
    EXPECT_GT((*opened)->state(Priority::kNormal).end, 2U);
  }
}

TEST_P(LostElsewhere, AFlippedBitInAHeaderCostsTheFile) {
  constexpr uint64_t kEnd = 50;
  for (size_t at = 0; at < storage::kSegmentHeaderBytes; ++at) {
    SCOPED_TRACE(at);
    disk = tests::SimulatedDisk(at);
    open();
    store_all(1, kEnd);
    spool.reset();
    disk.flip_bit(segments().back(), at);
    open();
    EXPECT_EQ(waiting(), numbers(1, kEnd));
  }
}

// A record is full of what looks like frames, each as long as may be, and its own frame is torn.
TEST_P(LostElsewhere, AStartThatFollowsWhatARecordSays) {
  std::string header(8, '\0');
  header.append("VF");
  header.append(2, '\x55');
  append_fixed(header, uint32_t{1U << 20});
  append_fixed(header, uint32_t{1});
  append_fixed(header, uint32_t{0});
  append_fixed(header, uint64_t{2});
  std::string text;
  while (text.size() < (200U << 10)) text.append(header);
  Spool::Recovery found;
  SpoolOptions options{.segment_bytes = 4U << 20};
  spool.reset();
  disk = tests::SimulatedDisk(5);
  auto opened = Spool::open(disk, kDirectory, keys, options, found);
  ASSERT_TRUE(opened.has_value());
  for (size_t shift = 0; shift < 16; ++shift) {
    Submission submission;
    std::string event;
    append_event(event, {.topic = "t", .payload = std::string(shift, 'x') + text});
    submission.items.push_back({.source = {}, .source_sequence = 0, .event = event});
    std::vector<Submission*> group{&submission};
    (*opened)->commit(group);
    ASSERT_EQ(submission.fates[0], Submission::Fate::kStored);
  }
  opened->reset();
  const std::string path = segments().back();
  for (size_t at = storage::kSegmentHeaderBytes; at < (3U << 20); at += 100U << 10) disk.flip_bit(path, at);
  const uint64_t before = disk.read_bytes();
  opened = Spool::open(disk, kDirectory, keys, options, found);
  ASSERT_TRUE(opened.has_value());
  EXPECT_LT(disk.read_bytes() - before, 64U << 20) << "every search is bounded by the file";
}

TEST_P(LostElsewhere, ADiskThatIsFullKeepsWhatIsDelivered) {
  store_all(1, 101);
  const size_t before = segments().size();
  // Nothing can be written, and files can still go.
  disk.fail_operation(1, "storage.full", /*sticky=*/false);
  EXPECT_FALSE(spool->delivered(Priority::kNormal, {1, 81}).has_value()) << "it could not be noted";
  EXPECT_LT(segments().size(), before) << "and yet space is given back";
}

TEST_P(LostElsewhere, ARecordThatNeverFitsBlocksAllOthers) {
  spool.reset();
  disk = tests::SimulatedDisk(6);
  auto opened = Spool::open(disk, kDirectory, keys, {.bytes_max = 64U << 10, .segment_bytes = 4096}, recovery);
  ASSERT_TRUE(opened.has_value());
  spool = std::move(*opened);
  Submission submission;
  std::string event;
  append_event(event, {.topic = "t", .payload = std::string(100'000, 'x')});
  submission.items.push_back({.source = {}, .source_sequence = 0, .event = event});
  std::vector<Submission*> group{&submission};
  spool->commit(group);
  EXPECT_EQ(submission.fates[0], Submission::Fate::kRefused);
  EXPECT_EQ(submission.error.code, "spool.too-large") << "for good: the child sets it aside";
}

TEST_P(LostElsewhere, EndlessLoopOnATornRecord) {
  store_all(1, 11);
  spool.reset();
  const std::string path = segments().back();
  const std::string sound = disk.content(path);
  size_t end = sound.find_last_not_of('\0') + 1;
  for (size_t cut = end; cut > storage::kSegmentHeaderBytes; cut -= std::min<size_t>(cut, 7)) {
    disk = tests::SimulatedDisk(cut);
    open();
    store_all(1, 11);
    spool.reset();
    std::string torn = disk.content(segments().back()).substr(0, cut);
    torn.resize(4096, static_cast<char>(cut));  // noise behind it
    disk.overwrite(segments().back(), torn);
    open();
    ASSERT_FALSE(HasFatalFailure()) << cut;
    const std::vector<uint64_t> left = waiting();  // ends
    EXPECT_EQ(left, numbers(1, left.size() + 1)) << "whole records, in order, up to the tear";
    EXPECT_EQ(store(99), Submission::Fate::kStored);
  }
}

TEST_P(LostElsewhere, WholeBacklogReadAtStart) {
  store_all(1, 2001);
  ASSERT_TRUE(spool->checkpoint());
  uint64_t bytes = 0;
  for (const std::string& path : segments()) bytes += disk.content(path).size();
  ASSERT_GT(bytes, 400'000U);
  const uint64_t before = disk.read_bytes();
  open();
  EXPECT_LT(disk.read_bytes() - before, bytes / 10 + 2 * Lives::kSlotBytes);
  EXPECT_EQ(waiting().size(), 2000U);
}

TEST_P(LostElsewhere, WholeBacklogReadAtStartAfterAKillWhereNobodyNumbers) {
  for (uint64_t number = 0; number < 2000; ++number) ASSERT_EQ(store(number, 200, ""), Submission::Fate::kStored);
  uint64_t bytes = 0;
  for (const std::string& path : segments()) bytes += disk.content(path).size();
  ASSERT_GT(bytes, 400'000U);
  const uint64_t before = disk.read_bytes();
  open();
  EXPECT_LT(disk.read_bytes() - before, bytes / 5);
  EXPECT_EQ(waiting().size(), 2000U);
}

// Of the records that were stored while the parent was away, and of a clock that was last noted before.
TEST_P(LostElsewhere, AgeTurnedBackByAKill) {
  spool->set_age(1000);
  ASSERT_TRUE(spool->checkpoint());
  spool->set_age(87'000);
  store_all(1, 3);
  open();
  EXPECT_EQ(spool->age(), 87'000U);
}

TEST_P(LostElsewhere, ARepetitionRefusedBecauseTheSpoolIsFull) {
  uint64_t last = 0;
  while (store(last + 1) == Submission::Fate::kStored) ++last;
  EXPECT_GT(last, 1000U);
  EXPECT_EQ(store(last), Submission::Fate::kKnown);
  EXPECT_EQ(store(last + 1), Submission::Fate::kRefused);
}

TEST_P(LostElsewhere, DeadLettersThatGaveWayUnasked) {
  DeadLetter letter{
      .stream = Priority::kNormal, .code = "uplink.refused", .what = "no", .event = std::string(1000, 'x')};
  store_all(1, 201);
  uint64_t buried = 0;
  Result<void> kept;
  while (kept && buried < 200) {
    letter.sequence = buried + 1;
    kept = spool->bury(letter);
    if (kept) ++buried;
  }
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, "spool.dead-letters-full");
  EXPECT_GT(buried, 10U);
  EXPECT_EQ(spool->dead_letters(), buried);
  EXPECT_FALSE(spool->delivered_of(Priority::kNormal).contains(buried + 1)) << "it stays where it is";
}

TEST_P(LostElsewhere, CorruptLogStopsTheStart) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 200; ++round) {
    disk = tests::SimulatedDisk(random.next());
    open();
    store_all(1, 61);
    if (random.chance(0.5)) ASSERT_TRUE(spool->checkpoint());
    spool.reset();
    for (const std::string& path : disk.paths()) {
      if (!random.chance(0.4)) continue;
      std::string content = disk.content(path);
      if (random.chance(0.3)) content.resize(random.below(content.size() + 1));
      for (uint64_t i = random.below(200); i > 0 && !content.empty(); --i) {
        content[random.below(content.size())] = static_cast<char>(random.next());
      }
      disk.overwrite(path, content);
    }
    open();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    (void)waiting();
    EXPECT_EQ(store(1'000'000), Submission::Fate::kStored);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LostElsewhere, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "encrypted" : "plain"; });

}  // namespace
}  // namespace verge::spool
