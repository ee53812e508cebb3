// What others lost, each as a test of its name, on the production spool over a simulated disk. Those that need a parent
// are in tests/integration/test_uplink.py.
#include <algorithm>

#include <gtest/gtest.h>

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

  // One numbered message of a device, in a commit of its own.
  Submission::Fate store(uint64_t number, size_t bytes = 200) {
    Submission submission;
    std::string event;
    append_event(event, {.topic = "t", .payload = std::to_string(number) + std::string(bytes, 'x')});
    submission.items.push_back({.source = "ddevice", .source_sequence = number, .event = event});
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
  for (const char* file : {"/cursors", "/ledger", "/incarnation"}) victims.push_back(std::string(kDirectory) + file);
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
    EXPECT_EQ(replaced, is_ledger        ? std::vector<std::string>{"spool.ledger-lost"}
                        : is_incarnation ? std::vector<std::string>{"spool.incarnation-lost"}
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
  EXPECT_LT(disk.read_bytes() - before, bytes / 10);
  EXPECT_EQ(waiting().size(), 2000U);
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
