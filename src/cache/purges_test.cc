#include "cache/purges.h"

#include <map>
#include <memory>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

std::unique_ptr<PurgeMarks> marks(const Purges& purges, std::vector<uint64_t> tags, std::string url = "http://a/") {
  auto made = std::make_unique<PurgeMarks>();
  made->tags = std::move(tags);
  made->url = std::move(url);
  made->fetched_at = purges.generation();
  return made;
}

TEST(Purges, TagsPrefixesAll) {
  Purges purges;
  const auto tagged = marks(purges, {1, 2}, "http://a/x/y");
  const auto other = marks(purges, {3}, "http://a/z");
  EXPECT_EQ(purges.verdict(*tagged), PurgeVerdict::kKept);
  purges.purge_tag(2, true);
  EXPECT_EQ(purges.verdict(*tagged), PurgeVerdict::kStale);
  EXPECT_EQ(purges.verdict(*other), PurgeVerdict::kKept);
  purges.purge_prefix("http://a/x/", false);
  EXPECT_EQ(purges.verdict(*tagged), PurgeVerdict::kGone);
  EXPECT_EQ(purges.verdict(*other), PurgeVerdict::kKept);
  const auto later = marks(purges, {1, 2}, "http://a/x/y");
  EXPECT_EQ(purges.verdict(*later), PurgeVerdict::kKept) << "fetched after both";
  purges.purge_all(true);
  EXPECT_EQ(purges.verdict(*other), PurgeVerdict::kStale);
  purges.purge_all(false);
  EXPECT_EQ(purges.verdict(*other), PurgeVerdict::kGone);
}

TEST(Purges, KindsAreApart) {
  EXPECT_NE(tag_hash(TagKind::kTag, "x"), tag_hash(TagKind::kUrl, "x"));
  EXPECT_NE(tag_hash(TagKind::kHost, "x"), tag_hash(TagKind::kGroup, "x"));
}

TEST(Purges, TooManyStampsPurgeTooMuchNeverTooLittle) {
  Purges purges;
  const auto kept = marks(purges, {7});
  for (uint64_t tag = 100; tag < 100 + Purges::kStampsMax; ++tag) purges.purge_tag(tag, false);
  EXPECT_EQ(purges.verdict(*kept), PurgeVerdict::kKept);
  const auto purged = marks(purges, {9});
  purges.purge_tag(9, false);
  EXPECT_EQ(purges.verdict(*purged), PurgeVerdict::kGone);
  EXPECT_EQ(purges.verdict(*kept), PurgeVerdict::kGone);
  const auto fresh = marks(purges, {9, 100});
  EXPECT_EQ(purges.verdict(*fresh), PurgeVerdict::kKept);
}

TEST(Purges, LikeALogOfAllPurges) {
  Random random(system_seed());
  Purges purges;
  struct Purge {
    uint64_t generation;
    uint64_t tag;  // 0: all
    bool softly;
  };
  std::vector<Purge> log;
  std::vector<std::unique_ptr<PurgeMarks>> answers;
  for (int step = 0; step < 20'000; ++step) {
    if (answers.size() < 50 && random.chance(0.2)) {
      answers.push_back(marks(purges, {1 + random.below(20), 1 + random.below(20)}));
    }
    if (random.chance(0.1)) {
      const uint64_t tag = random.below(20);
      const bool softly = random.chance(0.5);
      if (tag == 0) {
        purges.purge_all(softly);
      } else {
        purges.purge_tag(tag, softly);
      }
      log.push_back({purges.generation(), tag, softly});
    }
    if (answers.empty()) continue;
    const size_t index = random.below(answers.size());
    const PurgeMarks& asked = *answers[index];
    PurgeVerdict expected = PurgeVerdict::kKept;
    for (const Purge& purge : log) {
      const bool covers = purge.tag == 0 || std::ranges::find(asked.tags, purge.tag) != asked.tags.end();
      if (!covers || purge.generation <= asked.fetched_at) continue;
      if (!purge.softly) expected = PurgeVerdict::kGone;
      if (purge.softly && expected == PurgeVerdict::kKept) expected = PurgeVerdict::kStale;
    }
    ASSERT_EQ(purges.verdict(asked), expected) << "step " << step;
    if (expected == PurgeVerdict::kGone) answers.erase(answers.begin() + static_cast<ptrdiff_t>(index));
  }
}

}  // namespace
}  // namespace verge::cache
