#include "cache/purge_journal.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <stdlib.h>

namespace verge::cache {
namespace {

class PurgeJournalTest : public testing::Test {
 public:
  PurgeJournalTest() {
    std::string name = "/tmp/verge-purges-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~PurgeJournalTest() override { std::filesystem::remove_all(directory_); }

 protected:
  std::unique_ptr<PurgeJournal> open(Purges& purges, uint64_t compact_above = 1 << 20) {
    bool is_whole = false;
    Result<std::unique_ptr<PurgeJournal>> journal =
        PurgeJournal::open(files_, directory_ + "/purges", purges, is_whole, compact_above);
    EXPECT_TRUE(journal) << journal.error().line();
    return std::move(*journal);
  }
  uint64_t bytes() const { return std::filesystem::file_size(directory_ + "/purges"); }

  storage::PosixFileSystem files_;
  std::string directory_;
};

PurgeVerdict verdict(const Purges& purges, uint64_t tag, uint64_t fetched_at) {
  PurgeMarks marks;
  marks.tags = {tag};
  marks.url = "http://a/";
  marks.fetched_at = fetched_at;
  return purges.verdict(marks);
}

TEST_F(PurgeJournalTest, IsReadAgain) {
  uint64_t before = 0, after = 0;
  {
    Purges purges;
    const auto journal = open(purges);
    before = purges.generation();
    purges.purge_tag(7, false);
    purges.purge_tag(8, true);
    ASSERT_TRUE(journal->sync());
    after = purges.generation();
  }
  Purges again;
  const auto journal = open(again);
  EXPECT_EQ(verdict(again, 7, before), PurgeVerdict::kGone);
  EXPECT_EQ(verdict(again, 8, before), PurgeVerdict::kStale);
  EXPECT_EQ(verdict(again, 9, before), PurgeVerdict::kKept);
  EXPECT_EQ(verdict(again, 7, after), PurgeVerdict::kKept);
}

TEST_F(PurgeJournalTest, DoesNotGrowWithTheNumberOfPurges) {
  uint64_t before = 0;
  {
    Purges purges;
    const auto journal = open(purges, /*compact_above=*/4096);
    before = purges.generation();
    for (int i = 0; i < 10'000; ++i) {
      purges.purge_tag(static_cast<uint64_t>(i % 10), false);
      if (i % 50 == 0) ASSERT_TRUE(journal->sync());
    }
    ASSERT_TRUE(journal->sync());
    EXPECT_LT(bytes(), 8192U);
  }
  Purges again;
  const auto journal = open(again);
  for (uint64_t tag = 0; tag < 10; ++tag) EXPECT_EQ(verdict(again, tag, before), PurgeVerdict::kGone) << tag;
}

// Purges on some threads, syncs (and with them compaction) on another: none is lost.
TEST_F(PurgeJournalTest, LosesNothingThatIsNotedWhileItIsWrittenAnew) {
  constexpr uint64_t kThreads = 3, kEach = 3000;
  uint64_t before = 0;
  {
    Purges purges;
    const auto journal = open(purges, /*compact_above=*/1024);
    before = purges.generation();
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (uint64_t i = 0; i < kEach; ++i) purges.purge_tag(thread * kEach + i, false);
      });
    }
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(journal->sync());
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(journal->sync());
  }
  Purges again;
  const auto journal = open(again);
  for (uint64_t tag = 0; tag < kThreads * kEach; ++tag) {
    ASSERT_EQ(verdict(again, tag, before), PurgeVerdict::kGone) << tag;
  }
}

}  // namespace
}  // namespace verge::cache
