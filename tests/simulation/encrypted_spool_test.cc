// The production spool with encryption, over a simulated disk: what is on the disk, what happens to it when keys change
// or are missing, and that no nonce is ever used for two texts.
#include <algorithm>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "model/event.h"
#include "spool/inspection.h"
#include "spool/record_reader.h"
#include "spool/spool.h"
#include "tests/support/simulated_disk.h"

namespace verge::spool {
namespace {

constexpr const char* kDirectory = "data/spool";
constexpr SpoolOptions kOptions{.bytes_max = 1U << 20, .segment_bytes = 4096};
constexpr const char* kSecret = "PLAINTEXT-OF-A-RECORD";

storage::Keys writing(const crypto::Key& key, std::vector<crypto::Key> reading = {}) {
  return {.writing = key, .reading = std::move(reading)};
}

class EncryptedSpool : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(keys.replace(writing(first)));
    open();
  }

  Result<void> try_open() {
    spool.reset();
    recovery = {};
    Result<std::unique_ptr<Spool>> opened = Spool::open(disk, kDirectory, keys, kOptions, recovery);
    if (!opened) return std::unexpected(opened.error());
    spool = std::move(*opened);
    return {};
  }
  void open() {
    const Result<void> opened = try_open();
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
  }

  Submission::Fate store(uint64_t number, Priority priority = Priority::kNormal) {
    Submission submission;
    std::string event;
    append_event(event, {.topic = "t", .payload = kSecret + std::string(200, 'x')});
    submission.items.push_back({.priority = priority, .source = "ddevice", .source_sequence = number, .event = event});
    std::vector<Submission*> group{&submission};
    spool->commit(group);
    return submission.fates[0];
  }
  void store_all(uint64_t from, uint64_t end) {
    for (uint64_t number = from; number < end; ++number) ASSERT_EQ(store(number), Submission::Fate::kStored) << number;
  }

  struct Reading {
    std::vector<uint64_t> numbers;
    std::vector<storage::DamagedRange> damaged;
    Error error;
  };
  Reading read(const storage::KeyRing& ring) {
    Reading result;
    RecordReader reader(disk, Spool::stream_directory(kDirectory, Priority::kNormal), ring);
    while (true) {
      const auto next = reader.next(UINT64_MAX);
      if (!next) result.error = next.error();
      if (!next) break;
      const std::optional<RecordReader::Numbered>& numbered = *next;
      if (!numbered) break;
      result.numbers.push_back(numbered->record.source_sequence);
    }
    result.damaged = reader.take_damaged();
    return result;
  }
  Reading read() { return read(keys); }

  std::vector<std::string> segments() {
    std::vector<std::string> found;
    for (const std::string& path : disk.paths()) {
      if (path.starts_with(std::string(kDirectory) + "/normal/") && path.ends_with(".log")) found.push_back(path);
    }
    return found;
  }
  // The files that have the text anywhere, behind the last frame too.
  std::vector<std::string> files_with_plaintext() {
    std::vector<std::string> found;
    for (const std::string& path : disk.paths()) {
      if (disk.content(path).find(kSecret) != std::string::npos) found.push_back(path);
    }
    return found;
  }
  std::map<storage::KeyId, size_t> needed() {
    std::map<storage::KeyId, size_t> all;
    for (const std::string& log : log_directories(kDirectory)) {
      const auto in_use = storage::keys_in_use(disk, log);
      EXPECT_TRUE(in_use.has_value());
      if (in_use) {
        for (const auto& [key, files] : *in_use) all[key] += files;
      }
    }
    return all;
  }
  static storage::KeyId name(const crypto::Key& key) { return storage::id_of(key).value_or(0); }

  const crypto::Key first = crypto::Key::generate();
  const crypto::Key second = crypto::Key::generate();
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

TEST_F(EncryptedSpool, NothingOfARecordIsOnTheDisk) {
  store_all(1, 101);
  const DeadLetter letter{
      .stream = Priority::kNormal, .sequence = 3, .time = {}, .code = "c", .what = "w", .event = kSecret};
  ASSERT_TRUE(spool->bury(letter));
  ASSERT_TRUE(spool->checkpoint());
  EXPECT_EQ(files_with_plaintext(), std::vector<std::string>());
  open();
  EXPECT_EQ(read().numbers, numbers(1, 101));
  EXPECT_EQ(spool->dead_letters(), 1U);
  std::vector<storage::DamagedRange> damaged;
  EXPECT_EQ(spool->replay_dead_letters(damaged).value_or(0), 1U);
  for (uint64_t number = 1; number < 101; ++number) ASSERT_EQ(store(number), Submission::Fate::kKnown);
}

TEST_F(EncryptedSpool, AFlippedBitCostsItsFrameAndIsReportedExactly) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 100; ++round) {
    disk = tests::SimulatedDisk(random.next());
    open();
    store_all(1, 61);
    ASSERT_GT(segments().size(), 4U);
    const std::string path = segments()[1];
    const std::string sound = disk.content(path);
    const size_t end = sound.find_last_not_of('\0') + 1;
    const uint64_t at = storage::kSegmentHeaderBytes + random.below(end - storage::kSegmentHeaderBytes);
    disk.flip_bit(path, at);
    const Reading found = read();
    ASSERT_EQ(found.error.code, "");
    std::vector<uint64_t> lost;
    std::ranges::set_difference(numbers(1, 61), found.numbers, std::back_inserter(lost));
    ASSERT_LE(lost.size(), 1U);
    if (lost.empty()) {
      // Between frames, where nothing is covered.
      EXPECT_EQ(found.damaged.size(), 0U);
      continue;
    }
    ASSERT_EQ(found.damaged.size(), 1U);
    EXPECT_EQ(found.damaged[0].first_sequence, lost[0]);
    EXPECT_EQ(found.damaged[0].end_sequence, lost[0] + 1);
    EXPECT_EQ(found.damaged[0].path, path);
  }
}

// Somebody who can write the disk, and knows the checksum, cannot make a record.
TEST_F(EncryptedSpool, AChangeWithAGoodChecksumIsDamageToo) {
  store_all(1, 31);
  const std::string path = segments()[1];
  std::string content = disk.content(path);
  ByteReader reader(std::string_view(content).substr(24));
  const auto salt = reader.fixed<uint64_t>();
  ByteReader of_frame(std::string_view(content).substr(storage::kSegmentHeaderBytes + 12));
  const auto body_bytes = of_frame.fixed<uint32_t>();
  std::string frame = content.substr(storage::kSegmentHeaderBytes, storage::kFrameHeaderBytes + body_bytes);
  frame[40] = static_cast<char>(frame[40] ^ 1);
  storage::write_frame_checksum(frame, salt);
  disk.overwrite(path, content.replace(storage::kSegmentHeaderBytes, frame.size(), frame));
  const Reading found = read();
  ASSERT_EQ(found.damaged.size(), 1U);
  const uint64_t changed = found.damaged[0].first_sequence;
  EXPECT_EQ(found.damaged[0].end_sequence, changed + 1);
  std::vector<uint64_t> expected = numbers(1, 31);
  std::erase(expected, changed);
  EXPECT_EQ(found.numbers, expected);
}

TEST_F(EncryptedSpool, AMissingKeyRefusesTheStartAndLosesNothing) {
  store_all(1, 101);
  spool.reset();
  std::map<std::string, std::string> before;
  for (const std::string& path : disk.paths()) before[path] = disk.content(path);
  for (const storage::Keys& wrong : {storage::Keys{}, writing(second)}) {
    ASSERT_TRUE(keys.replace(wrong));
    const Result<void> opened = try_open();
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, "storage.key-missing");
    EXPECT_NE(opened.error().line().find(storage::key_id_text(name(first))), std::string::npos)
        << opened.error().line();
    std::map<std::string, std::string> after;
    for (const std::string& path : disk.paths()) after[path] = disk.content(path);
    EXPECT_EQ(after, before) << "nothing was touched";
    EXPECT_EQ(read().error.code, "storage.key-missing") << "an error, not an end and not damage";
    Result<Inspection> inspection = Inspection::open(disk, kDirectory, keys);
    ASSERT_TRUE(inspection.has_value());
    EXPECT_EQ(inspection->content().error().code, "storage.key-missing");
  }
  ASSERT_TRUE(keys.replace(writing(second, {first})));
  open();
  EXPECT_EQ(read().numbers, numbers(1, 101));
}

TEST_F(EncryptedSpool, RotationTakesEffectAtOnceAndTheOldKeyFallsOutOfUse) {
  store_all(1, 31);
  ASSERT_EQ(store(1000, Priority::kHigh), Submission::Fate::kStored);
  ASSERT_TRUE(spool->change_keys(writing(second, {first})));
  EXPECT_EQ(needed().count(name(second)), 0U);
  store_all(31, 41);
  EXPECT_GT(needed()[name(first)], 3U);
  EXPECT_GT(needed()[name(second)], 0U);
  EXPECT_EQ(read().numbers, numbers(1, 41));
  // Dropped too early: refused, and nothing has changed.
  const Result<void> early = spool->change_keys(writing(second));
  ASSERT_FALSE(early.has_value());
  EXPECT_EQ(early.error().code, "storage.key-missing");
  EXPECT_TRUE(keys.has(name(first)));
  // The parent has what the old key encrypted: also the streams in which nothing new came are free of it.
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, 31}));
  ASSERT_TRUE(spool->delivered(Priority::kHigh, {1, 2}));
  ASSERT_TRUE(spool->checkpoint());
  EXPECT_EQ(needed().count(name(first)), 0U);
  ASSERT_TRUE(spool->change_keys(writing(second)));
  EXPECT_EQ(read().numbers, numbers(31, 41));
  open();
  EXPECT_EQ(read().numbers, numbers(31, 41));
  EXPECT_EQ(spool->state(Priority::kNormal).undelivered, 10U);
}

// A start with another key does the same as a change while running.
TEST_F(EncryptedSpool, RotationByARestart) {
  store_all(1, 31);
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, 31}));
  ASSERT_TRUE(spool->checkpoint());
  spool.reset();
  EXPECT_GT(needed()[name(first)], 0U) << "the last file stays";
  ASSERT_TRUE(keys.replace(writing(second, {first})));
  open();
  EXPECT_EQ(needed().size(), 0U);
  ASSERT_TRUE(keys.replace(writing(second)));
  open();
  store_all(31, 41);
  EXPECT_EQ(read().numbers, numbers(31, 41));
}

TEST_F(EncryptedSpool, TurnedOnAndOff) {
  ASSERT_TRUE(keys.replace({}));
  disk = tests::SimulatedDisk(2);
  open();
  store_all(1, 31);
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, 10}));  // some files are in the reserve now
  EXPECT_FALSE(files_with_plaintext().empty());
  ASSERT_TRUE(spool->change_keys(writing(first)));
  store_all(31, 61);
  EXPECT_EQ(read().numbers.back(), 60U) << "both kinds";
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, 31}));
  store_all(61, 91);
  EXPECT_EQ(files_with_plaintext(), std::vector<std::string>()) << "not even in space that is used again";
  ASSERT_TRUE(spool->change_keys({.writing = {}, .reading = {first}}));
  store_all(91, 101);
  open();
  EXPECT_EQ(read().numbers, numbers(31, 101));
  EXPECT_EQ(needed().size(), 1U);
}

TEST_F(EncryptedSpool, AKeyIsGivenUpOnPurpose) {
  ASSERT_TRUE(keys.replace({}));
  disk = tests::SimulatedDisk(3);
  open();
  store_all(1, 11);
  ASSERT_TRUE(spool->change_keys(writing(first)));
  store_all(11, 41);
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {15, 18}));
  ASSERT_TRUE(spool->change_keys(writing(second, {first})));
  store_all(41, 61);
  ASSERT_TRUE(spool->checkpoint());
  spool.reset();
  ASSERT_TRUE(keys.replace(writing(second)));
  ASSERT_EQ(try_open().error().code, "storage.key-missing");

  Spool::Recovery recovery;
  const auto erased = Spool::erase_key(disk, kDirectory, keys, kOptions, name(first), recovery);
  ASSERT_TRUE(erased.has_value()) << erased.error().line();
  uint64_t next = 11;
  uint64_t undelivered = 0;
  for (const Spool::Erased& each : *erased) {
    EXPECT_EQ(each.log, "normal");
    EXPECT_EQ(each.sequences.begin, next) << "each record that went, and no other";
    next = each.sequences.end;
    undelivered += each.undelivered;
  }
  EXPECT_EQ(next, 41U);
  EXPECT_EQ(undelivered, 27U);
  open();
  const Reading found = read();
  std::vector<uint64_t> left = numbers(1, 11);
  for (const uint64_t number : numbers(41, 61)) left.push_back(number);
  EXPECT_EQ(found.numbers, left);
  // A reader that comes by says it too.
  ASSERT_FALSE(found.damaged.empty());
  EXPECT_EQ(found.damaged.front().first_sequence, 11U);
  EXPECT_EQ(found.damaged.back().end_sequence, 41U);
  EXPECT_EQ(store(61), Submission::Fate::kStored);
  EXPECT_EQ(spool->state(Priority::kNormal).end, 62U) << "no sequence is used again";
}

// Also where the key is that of the last file, and of all there is.
TEST_F(EncryptedSpool, TheOnlyKeyIsGivenUp) {
  store_all(1, 31);
  ASSERT_TRUE(spool->checkpoint());
  spool.reset();
  ASSERT_TRUE(keys.replace({}));
  Spool::Recovery recovery;
  const auto erased = Spool::erase_key(disk, kDirectory, keys, kOptions, name(first), recovery);
  ASSERT_TRUE(erased.has_value()) << erased.error().line();
  ASSERT_FALSE(erased->empty());
  EXPECT_EQ(erased->front().sequences.begin, 1U);
  EXPECT_EQ(erased->back().sequences.end, 31U);
  open();
  EXPECT_EQ(read().numbers, std::vector<uint64_t>());
  EXPECT_EQ(read().damaged.size(), 0U) << "nothing is left that could be missed";
  ASSERT_EQ(store(31), Submission::Fate::kStored);
  EXPECT_GE(spool->state(Priority::kNormal).end, 32U) << "no sequence is used again";
}

// Notes what is written to segments, and fails when a place of a segment's life is used for two texts.
class Witness {
 public:
  void see(const std::string& header, uint64_t offset, std::string_view frame) {
    const std::string random(frame.substr(frame.size() - storage::kFrameSealBytes, storage::kFrameRandomBytes));
    // The place alone must do, and so must the random part.
    meet(by_place_, {header, std::to_string(offset)}, frame);
    meet(by_random_, {header, random}, frame);
    ++frames_;
  }
  void begin(const std::string& header) {
    EXPECT_TRUE(headers_.insert(header).second) << "two lives of a file, one key";
  }
  [[nodiscard]] size_t frames() const { return frames_; }

 private:
  using Nonces = std::map<std::pair<std::string, std::string>, std::string>;
  static void meet(Nonces& nonces, std::pair<std::string, std::string> nonce, std::string_view frame) {
    const auto [place, is_new] = nonces.emplace(std::move(nonce), frame);
    ASSERT_TRUE(is_new || place->second == frame) << "a nonce was used for two texts";
  }

  Nonces by_place_;
  Nonces by_random_;
  std::set<std::string> headers_;
  size_t frames_ = 0;
};

class WitnessedFile final : public storage::File {
 public:
  WitnessedFile(std::unique_ptr<storage::File> file, Witness& witness, bool is_segment)
      : file_(std::move(file)), witness_(witness), is_segment_(is_segment) {}

  Result<size_t> read_at(uint64_t offset, char* into, size_t size) override {
    return file_->read_at(offset, into, size);
  }
  // What is tried counts, whether it succeeds or not: some of it may get to the disk.
  Result<void> write_at(uint64_t offset, std::string_view bytes) override {
    if (is_segment_ && offset == 0) {
      header_ = bytes.substr(0, storage::kSegmentHeaderCopyBytes - sizeof(uint64_t));
      witness_.begin(header_);
    } else if (is_segment_) {
      ByteReader reader(bytes.substr(12));
      witness_.see(header_, offset, bytes.substr(0, storage::kFrameHeaderBytes + reader.fixed<uint32_t>()));
    }
    return file_->write_at(offset, bytes);
  }
  Result<void> sync() override { return file_->sync(); }
  Result<uint64_t> size() override { return file_->size(); }
  Result<void> allocate(uint64_t bytes) override { return file_->allocate(bytes); }
  Result<void> truncate(uint64_t bytes) override { return file_->truncate(bytes); }

 private:
  const std::unique_ptr<storage::File> file_;
  Witness& witness_;
  const bool is_segment_;
  std::string header_;
};

class WitnessedDisk final : public storage::FileSystem {
 public:
  WitnessedDisk(tests::SimulatedDisk& disk, Witness& witness) : disk_(disk), witness_(witness) {}
  Result<std::unique_ptr<storage::File>> open(const std::string& path, storage::OpenMode mode) override {
    Result<std::unique_ptr<storage::File>> file = disk_.open(path, mode);
    if (!file) return file;
    return std::make_unique<WitnessedFile>(std::move(*file), witness_, path.ends_with(".log"));
  }
  Result<std::vector<std::string>> list(const std::string& directory) override { return disk_.list(directory); }
  Result<void> make_directory(const std::string& path) override { return disk_.make_directory(path); }
  Result<void> rename(const std::string& from, const std::string& to) override { return disk_.rename(from, to); }
  Result<void> remove(const std::string& path) override { return disk_.remove(path); }
  Result<void> sync_directory(const std::string& path) override { return disk_.sync_directory(path); }

 private:
  tests::SimulatedDisk& disk_;
  Witness& witness_;
};

// Writes and syncs fail, power is cut, files are used again, keys change: through all of it.
TEST(EncryptedSpoolSimulation, NoNonceIsUsedForTwoTexts) {
  const char* given = std::getenv("VERGE_SEED");
  const uint64_t from = given ? std::strtoull(given, nullptr, 10) : system_seed();
  size_t frames = 0;
  for (uint64_t seed = from; seed < from + (given ? 1 : 100); ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    Random random(seed);
    tests::SimulatedDisk disk(random.next());
    Witness witness;
    WitnessedDisk witnessed(disk, witness);
    std::vector<crypto::Key> used{crypto::Key::generate()};
    storage::KeyRing keys;
    ASSERT_TRUE(keys.replace(writing(used.back())));
    std::unique_ptr<Spool> spool;
    uint64_t number = 0;
    for (int step = 0; step < 150 && !testing::Test::HasFailure(); ++step) {
      if (!spool || random.chance(0.05)) {
        spool.reset();
        disk.heal();
        if (random.chance(0.5)) disk.crash();
        Spool::Recovery recovery;
        Result<std::unique_ptr<Spool>> opened = Spool::open(witnessed, kDirectory, keys, kOptions, recovery);
        ASSERT_TRUE(opened.has_value()) << opened.error().line();
        spool = std::move(*opened);
      }
      if (random.chance(0.2)) disk.fail_operation(1 + random.below(6), "storage.io", random.chance(0.3));
      if (random.chance(0.2)) disk.heal();
      if (random.chance(0.1)) {
        used.push_back(crypto::Key::generate());
        (void)spool->change_keys(writing(used.back(), used));
      }
      if (random.chance(0.2)) (void)spool->prepare_segment();
      if (random.chance(0.3)) {
        const Priority stream = kPriorities[random.below(kStreams)];
        (void)spool->delivered(stream, {1, 1 + random.below(spool->state(stream).end)});
      }
      Submission submission;
      for (uint64_t i = random.below(6); i > 0; --i) {
        std::string event;
        append_event(event, {.topic = "t", .payload = std::to_string(++number) + std::string(random.below(400), 'x')});
        submission.items.push_back(
            {.priority = kPriorities[random.below(kStreams)], .source = {}, .source_sequence = 0, .event = event});
      }
      std::vector<Submission*> group{&submission};
      spool->commit(group);
      // What was refused comes again, and goes where it would have gone.
      if (random.chance(0.5)) spool->commit(group);
    }
    frames += witness.frames();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  EXPECT_GT(frames, given ? 20U : 5000U);
}

}  // namespace
}  // namespace verge::spool
