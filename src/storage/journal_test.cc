#include "storage/journal.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::storage {
namespace {

using testing::ElementsAre;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "verge-journal-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    open();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void open(uint8_t version = 1) {
    journal_.reset();
    auto opened = Journal::open(file_system_, directory_ + "/j", keys_,
                                {.area = "test", .lost = "all is lost", .version = version, .bytes_min = 100'000});
    ASSERT_TRUE(opened) << opened.error().line();
    journal_ = std::move(*opened);
  }
  void commit(const std::vector<std::string>& group) {
    const Result<void> appended = journal_->append_group(group, [](const std::string& one) { return one; });
    ASSERT_TRUE(appended && journal_->sync());
  }
  // What the frames hold; a version other than 1 is not known.
  std::vector<std::string> replayed() {
    std::vector<std::string> found;
    EXPECT_TRUE(journal_->replay([&](uint8_t version, std::string_view records) {
      if (version == 1) found.emplace_back(records);
      return version == 1;
    }));
    return found;
  }

  std::string directory_;
  PosixFileSystem file_system_{""};
  KeyRing keys_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, AGroupIsOneFrameAndIsFoundAgain) {
  commit({"a", "b"});
  commit({"c"});
  open();
  EXPECT_THAT(replayed(), ElementsAre("ab", "c"));
}

TEST_F(JournalTest, ALargeGroupIsSeveralFrames) {
  const std::string half(Journal::kFrameBytes / 2 + 1, 'x');
  commit({half, half, half});
  EXPECT_THAT(replayed(), ElementsAre(half + half, half));
}

TEST_F(JournalTest, TheImageTakesThePlaceOfWhatWasBeforeIt) {
  commit({"a"});
  EXPECT_FALSE(journal_->is_long());
  while (!journal_->is_long()) commit({std::string(10'000, 'x')});
  ASSERT_TRUE(journal_->write_image([](const Journal::Give& give) { EXPECT_TRUE(give("the ") && give("image")); }));
  EXPECT_FALSE(journal_->is_long());
  commit({"b"});
  open();
  EXPECT_THAT(replayed(), ElementsAre("the ", "image", "b"));
}

TEST_F(JournalTest, AnotherVersionIsPassedOver) {
  commit({"a"});
  open(2);
  commit({"b"});
  open();
  commit({"c"});
  EXPECT_THAT(replayed(), ElementsAre("a", "c"));
}

}  // namespace
}  // namespace verge::storage
