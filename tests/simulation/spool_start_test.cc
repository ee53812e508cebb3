// A spool's directory with things in it that the spool did not put there, on a real file system: it opens, has all
// that it had, says what it found, and deletes none of it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "model/event.h"
#include "spool/inspection.h"
#include "spool/spool.h"
#include "storage/segment_header.h"

namespace verge::spool {
namespace {

namespace fs = std::filesystem;

class SpoolStart : public testing::Test {
 public:
  SpoolStart() {
    std::string name = fs::temp_directory_path() / "verge-start-XXXXXX";
    root = ::mkdtemp(name.data());
    directory = root / "spool";
  }
  ~SpoolStart() override {
    spool.reset();
    fs::remove_all(root);
  }

 protected:
  void open() {
    if (spool) {
      ASSERT_TRUE(spool->checkpoint());
      spool.reset();
    }
    recovery = {};
    Result<std::unique_ptr<Spool>> opened =
        Spool::open(files(), directory, keys, {.bytes_max = 1U << 20, .segment_bytes = 4096}, recovery);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    spool = std::move(*opened);
  }
  storage::PosixFileSystem& files() {
    if (!files_) files_.emplace(root);
    return *files_;
  }

  void store(int count) {
    for (int i = 0; i < count; ++i) {
      Submission submission;
      std::string event;
      append_event(event, {.topic = "t", .payload = std::string(500, 'x')});
      submission.items.push_back({.source = "ddevice\n\n0", .source_sequence = ++stored, .event = event});
      std::vector<Submission*> group{&submission};
      spool->commit(group);
      ASSERT_EQ(submission.fates[0], Submission::Fate::kStored) << submission.error.line();
    }
  }
  uint64_t readable() {
    Result<Inspection> inspection = Inspection::open(files(), directory, keys);
    EXPECT_TRUE(inspection);
    uint64_t count = 0;
    const Result<void> read =
        inspection->for_each(Priority::kNormal, [&](const InspectedRecord&) { return ++count > 0; });
    EXPECT_TRUE(read) << read.error().line();
    return count;
  }
  fs::path last_segment() const {
    fs::path segment;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory / "normal")) {
      if (entry.path().extension() == ".log") segment = std::max(segment, entry.path());
    }
    return segment;
  }
  // Stores one record and flips a bit of it.
  void store_and_damage() {
    store(1);
    ASSERT_TRUE(spool->checkpoint());
    spool.reset();
    std::fstream file(last_segment(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const size_t at = bytes.rfind("xxxx");
    ASSERT_NE(at, std::string::npos);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('y');
  }
  std::vector<fs::path> cut_off() const {
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory / "normal")) {
      if (entry.path().extension() == ".cut-off") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
  }
  // Of those in the last segment, in their order.
  void lose_head_of_frame(size_t frame) {
    std::fstream file(last_segment(), std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    std::vector<size_t> frames;  // by their magic, behind the header of the segment
    for (size_t at = 128; at + 32 <= bytes.size(); at += 16) {
      if (bytes.compare(at + 8, 2, "VF") == 0) frames.push_back(at);
    }
    ASSERT_EQ(frames.size(), 5U);
    file.seekp(static_cast<std::streamoff>(frames[frame]));
    file.write(std::string(48, '\0').data(), 48);
  }
  size_t damages() {
    Result<Inspection> inspection = Inspection::open(files(), directory, keys);
    EXPECT_TRUE(inspection);
    const Result<SpoolContent> content = inspection->content();
    EXPECT_TRUE(content);
    size_t count = 0;
    for (const StreamContent& stream : content->streams) count += stream.damaged.size();
    return count;
  }
  void write(const fs::path& path, const std::string& content) { std::ofstream(directory / path) << content; }
  std::string content(const fs::path& path) {
    std::ifstream file(directory / path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Whether it was found, and where it lies now: below the spool's directory; empty, where it was.
  testing::AssertionResult is_reported(const fs::path& path, const fs::path& now) {
    for (const storage::SetAside& each : recovery.set_aside) {
      if (each.path != directory / path) continue;
      if (each.now == (now.empty() ? std::string() : (directory / now).string())) return testing::AssertionSuccess();
      return testing::AssertionFailure() << each.path << " is said to be at '" << each.now << "'";
    }
    return testing::AssertionFailure() << path << " is not reported, " << recovery.set_aside.size() << " others are";
  }

  fs::path root;
  fs::path directory;
  storage::KeyRing keys;
  Spool::Recovery recovery;
  std::unique_ptr<Spool> spool;
  uint64_t stored = 0;

 private:
  std::optional<storage::PosixFileSystem> files_;
};

constexpr const char* kLast = "normal/00000000000000900000.log";

// As a sector that a disk gives back as zeros: what it held looks like the end of the log.
TEST_F(SpoolStart, AFrameWhoseHeadBecameZerosCostsItsOwnRecordsOnly) {
  for (const size_t frame : {0U, 1U, 3U, 4U}) {
    open();
    const uint64_t readable_before = readable();
    store(5);
    ASSERT_TRUE(spool->checkpoint());
    spool.reset();
    lose_head_of_frame(frame);
    EXPECT_EQ(damages(), 1U) << "frame " << frame;
    open();
    ASSERT_EQ(recovery.damaged.size(), 1U) << "frame " << frame;
    EXPECT_EQ(recovery.damaged[0].end_sequence - recovery.damaged[0].first_sequence, 1U);
    EXPECT_EQ(readable(), readable_before + 4U);
    open();
    EXPECT_EQ(recovery.damaged.empty(), frame == 4) << "what is lost at the end is said once: frame " << frame;
    ASSERT_TRUE(spool->discard(Priority::kNormal));
  }
}

TEST_F(SpoolStart, WhatIsCutOffADamagedEndIsKeptTheLatestFour) {
  std::vector<fs::path> kept;
  for (int start = 0; start < 6; ++start) {
    open();
    store_and_damage();
    open();
    ASSERT_EQ(recovery.damaged.size(), 1U);
    kept.emplace_back(recovery.damaged[0].kept);
    const std::string bytes = content(kept.back());
    EXPECT_GT(bytes.size(), storage::kSegmentHeaderBytes + 500);
    EXPECT_NE(bytes.find(std::string(400, 'x')), std::string::npos);
  }
  EXPECT_EQ(cut_off(), std::vector<fs::path>(kept.end() - 4, kept.end()));
  ASSERT_TRUE(spool->discard(Priority::kNormal));
  EXPECT_TRUE(cut_off().empty());
}

TEST_F(SpoolStart, WhereWhatIsCutOffCannotBeKeptTheSpoolOpensAllTheSame) {
  open();
  store(3);
  store_and_damage();
  fs::path in_the_way = last_segment();
  in_the_way.replace_extension(".cut-off");
  fs::create_directories(in_the_way / "inside");
  open();
  ASSERT_EQ(recovery.damaged.size(), 1U);
  EXPECT_EQ(recovery.damaged[0].kept, "");
  EXPECT_EQ(readable(), 3U);
  EXPECT_TRUE(fs::exists(in_the_way / "inside"));
}

// To go on from it would give records names that no reader looks for.
TEST_F(SpoolStart, AFileNamedForASequenceThatNeverWasIsSetAside) {
  open();
  store(3);
  for (const char* name : {"normal/04611686018427387904.log", "normal/02305843009213693953.log"}) {
    write(name, "");
    open();
    EXPECT_TRUE(is_reported(name, std::string(name) + ".damaged"));
    store(1);
  }
  // The highest that passes still leaves room for all that follows.
  write("normal/02305843009213693952.log", "");
  open();
  store(1);
  EXPECT_EQ(readable(), 6U);
  open();
  store(1);
  EXPECT_EQ(readable(), 7U);
}

TEST_F(SpoolStart, WhatIsInPlaceOfItsDirectoriesIsSetAside) {
  open();
  store(2);
  ASSERT_TRUE(spool->checkpoint());
  spool.reset();
  fs::create_directory(root / "elsewhere");
  for (const char* name : {"low", "dead-letters", "reserve"}) {
    fs::remove_all(directory / name);
    if (std::string_view(name) == "reserve") {
      fs::create_directory_symlink(root / "elsewhere", directory / name);
    } else {
      write(name, "somebody's");
    }
    open();
    EXPECT_TRUE(is_reported(name, std::string(name) + ".damaged"));
  }
  EXPECT_EQ(readable(), 2U);
  store(1);
}

TEST_F(SpoolStart, AnIncarnationThatIsNoneIsSetAside) {
  open();
  store(20);
  write("incarnation", std::string(5000, 'i'));
  open();
  EXPECT_TRUE(is_reported("incarnation", "incarnation.damaged"));
  EXPECT_EQ(content("incarnation.damaged"), std::string(5000, 'i'));
  ASSERT_EQ(recovery.replaced.size(), 1U);
  EXPECT_EQ(recovery.replaced[0].code, "spool.incarnation-lost");
  EXPECT_EQ(readable(), stored);
  fs::remove(directory / "incarnation");
  fs::create_directories(directory / "incarnation/inside");
  open();
  EXPECT_TRUE(fs::exists(directory / "incarnation.damaged-2/inside"));
  store(5);
}

TEST_F(SpoolStart, ADirectoryOrLinkNamedLikeASegmentIsSetAside) {
  open();
  store(20);
  fs::create_directories(directory / kLast / "inside");
  write("normal/somebodys", "content");
  fs::create_symlink(directory / "normal/somebodys", directory / "normal/00000000000000000003.log");
  EXPECT_EQ(readable(), stored) << "those who only look pass it over";
  open();
  EXPECT_TRUE(is_reported(kLast, std::string(kLast) + ".damaged"));
  EXPECT_TRUE(is_reported("normal/00000000000000000003.log", "normal/00000000000000000003.log.damaged"));
  EXPECT_TRUE(fs::exists(directory / (std::string(kLast) + ".damaged") / "inside"));
  EXPECT_EQ(content("normal/somebodys"), "content");
  store(20);
  EXPECT_EQ(readable(), stored);
  EXPECT_LT(spool->state(Priority::kNormal).end, 900'000U) << "no sequence is given up for it";
}

TEST_F(SpoolStart, ShorterNumbersAreNoSegments) {
  open();
  store(20);
  write("normal/900000.log", "somebody's");
  write("normal/99999999999999999999.log", "more than a number can be");
  write("normal/09999999999999999999.log", "more than a sequence can be");
  open();
  for (const char* name : {"900000.log", "99999999999999999999.log", "09999999999999999999.log"}) {
    EXPECT_TRUE(fs::exists(directory / "normal" / name)) << name;
  }
  store(20);
  ASSERT_TRUE(spool->delivered(Priority::kNormal, {1, spool->state(Priority::kNormal).end}));
  EXPECT_EQ(content("normal/900000.log"), "somebody's");
}

TEST_F(SpoolStart, AShortFileThatIsNoSegmentIsKept) {
  open();
  store(20);
  write(kLast, "somebody's");
  open();
  EXPECT_TRUE(is_reported(kLast, std::string(kLast) + ".damaged"));
  EXPECT_EQ(content(std::string(kLast) + ".damaged"), "somebody's");
  EXPECT_EQ(readable(), stored);
}

TEST_F(SpoolStart, TheReserveTouchesItsOwnFilesOnly) {
  open();
  ASSERT_TRUE(spool->prepare_segment());
  fs::create_directories(directory / "reserve/7/inside");
  write("reserve/notes.txt", "somebody's");
  write("reserve/5", "left by a crash");
  open();
  EXPECT_TRUE(is_reported("reserve/7", ""));
  EXPECT_TRUE(is_reported("reserve/notes.txt", ""));
  EXPECT_TRUE(fs::exists(directory / "reserve/7/inside"));
  EXPECT_EQ(content("reserve/notes.txt"), "somebody's");
  EXPECT_FALSE(fs::exists(directory / "reserve/5"));
  ASSERT_TRUE(spool->prepare_segment());
  store(20);
}

TEST_F(SpoolStart, DirectoriesInPlaceOfItsFilesAreSetAside) {
  open();
  store(20);
  spool.reset();
  for (const char* name : {"ledger", "cursors", "ledger.new", "incarnation.new"}) {
    fs::remove(directory / name);
    fs::create_directories(directory / name / "inside");
  }
  open();
  EXPECT_TRUE(is_reported("ledger", "ledger.damaged"));
  EXPECT_TRUE(is_reported("cursors", "cursors.damaged"));
  ASSERT_TRUE(spool->checkpoint());
  for (const char* name : {"ledger", "cursors", "ledger.new"}) {
    EXPECT_TRUE(fs::exists(directory / (std::string(name) + ".damaged") / "inside")) << name;
  }
  EXPECT_EQ(readable(), stored);
}

TEST_F(SpoolStart, TheLedgerIsInspected) {
  open();
  store(20);
  open();
  const auto inspected = [&] {
    Result<Inspection> inspection = Inspection::open(files(), directory, keys);
    EXPECT_TRUE(inspection);
    const Result<SpoolContent> found = inspection->content();
    EXPECT_TRUE(found);
    return *found;
  };
  const SpoolContent sound = inspected();
  EXPECT_TRUE(sound.has_ledger);
  EXPECT_FALSE(sound.ledger_problem);
  EXPECT_EQ(sound.ledger_sources, 1U);
  EXPECT_EQ(sound.ledger_stretches, 1U);
  std::string bytes = content("ledger");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write("ledger", bytes);
  const SpoolContent damaged = inspected();
  EXPECT_FALSE(damaged.has_ledger);
  EXPECT_TRUE(damaged.ledger_problem);
  fs::remove(directory / "ledger");
  EXPECT_FALSE(inspected().has_ledger);
  EXPECT_FALSE(inspected().ledger_problem);
}

}  // namespace
}  // namespace verge::spool
