#include "node/kept_events.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

using rules::Handling;
using testing::ElementsAre;
using testing::IsEmpty;

class Keeping : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "verge-kept-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<KeptEvents> open(const KeptOptions& options = {}) {
    auto opened = KeptEvents::open(file_system_, directory_ + "/kept", keys_, clock_, options);
    EXPECT_TRUE(opened.has_value());
    return opened ? std::move(*opened) : nullptr;
  }
  void keep(KeptEvents& kept, Handling handling, std::string_view payload) {
    kept.keep(handling, {.time = clock_.wall(), .topic = "t", .device = "d", .payload = payload});
  }
  std::vector<std::string> read(size_t number, uint64_t from = 1) {
    std::vector<std::string> found;
    const Result<void> done = read_kept(
        file_system_, directory_ + "/kept", keys_, number, from, [&](uint64_t sequence, const EventView& event) {
          found.push_back(std::to_string(sequence) + " " + std::string(event.payload.substr(0, 20)));
          return true;
        });
    EXPECT_TRUE(done.has_value());
    return found;
  }

  storage::PosixFileSystem file_system_;
  std::string directory_;
  storage::KeyRing keys_;
  ManualClock clock_;
};

TEST_F(Keeping, KeepsByClassOverRestarts) {
  std::unique_ptr<KeptEvents> kept = open();
  ASSERT_NE(kept, nullptr);
  keep(*kept, Handling::kHot, "a");
  keep(*kept, Handling::kBatch, "b");
  keep(*kept, Handling::kBatch, "c");
  kept->stop();
  EXPECT_EQ(kept->counters().kept.load(), 3U);
  keep(*kept, Handling::kHot, "late");
  EXPECT_EQ(kept->counters().dropped.load(), 1U);
  kept = open();
  ASSERT_NE(kept, nullptr);
  keep(*kept, Handling::kBatch, "d");
  kept->stop();
  EXPECT_THAT(read(0), ElementsAre("1 a"));
  EXPECT_THAT(read(1), ElementsAre("1 b", "2 c", "3 d"));
  EXPECT_THAT(read(1, 3), ElementsAre("3 d"));
}

TEST_F(Keeping, WhatIsBatchedGoesAfterADayAndWhatIsHotStays) {
  for (const char* const payload : {"old", "new"}) {
    std::unique_ptr<KeptEvents> kept = open();
    ASSERT_NE(kept, nullptr);
    keep(*kept, Handling::kHot, payload);
    keep(*kept, Handling::kBatch, payload);
    kept->stop();
    clock_.advance(std::chrono::hours(23));
  }
  EXPECT_THAT(read(1), ElementsAre("1 old", "2 new"));
  open()->stop();  // at 46 h
  EXPECT_THAT(read(1), ElementsAre("2 new"));
  EXPECT_THAT(read(0), ElementsAre("1 old", "2 new"));
  clock_.advance(std::chrono::hours(24));
  open()->stop();
  EXPECT_THAT(read(1), IsEmpty());
}

TEST_F(Keeping, TheOldestGoForWantOfRoom) {
  std::unique_ptr<KeptEvents> kept = open({.bytes_max = 4U << 20});
  ASSERT_NE(kept, nullptr);
  const std::string large(900'000, 'x');
  for (int i = 0; i < 12; ++i) {
    keep(*kept, Handling::kHot, std::to_string(i) + large);
    kept->stop();
    kept = open({.bytes_max = 4U << 20});
    ASSERT_NE(kept, nullptr);
  }
  kept->stop();
  const std::vector<std::string> left = read(0);
  EXPECT_LT(left.size(), 6U);
  ASSERT_FALSE(left.empty());
  EXPECT_TRUE(left.back().starts_with("12 11x")) << left.back();
}

}  // namespace
}  // namespace verge::node
