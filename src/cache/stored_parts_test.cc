#include "cache/stored_parts.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/value_of.h"

namespace verge::cache {
namespace {

constexpr uint64_t kLength = 1000;

Store::AnswerPointer part(uint64_t first, uint64_t last, std::string_view tag = "\"v1\"", uint64_t length = kLength,
                          size_t body_bytes = SIZE_MAX) {
  const std::vector<net::HttpField> fields = {{"ETag", tag}};
  const size_t size = body_bytes == SIZE_MAX ? static_cast<size_t>(last - first + 1) : body_bytes;
  return std::make_shared<const Answer>(AnswerParts{.status = 206,
                                                    .reason = {},
                                                    .fields = OwnedFields(fields),
                                                    .freshness = {},
                                                    .selectors = {},
                                                    .range = ContentRange{.range = {first, last}, .length = length},
                                                    .body = Body::of(Payload(std::string(size, 'x'))),
                                                    .url = "http://a/",
                                                    .tags = {},
                                                    .fetched_at = 1,
                                                    .stored_because = "test"});
}

using tests::value_of;
using Parts = std::vector<Store::AnswerPointer>;

TEST(StoredParts, WhatIsMissingIsAskedForAndNothingElse) {
  const Completion rest = value_of(completion_of(Parts{part(0, 499)}, std::nullopt));
  EXPECT_EQ(rest.gap, (ByteRange{500, 999}));
  EXPECT_TRUE(rest.is_whole());
  const Completion beginning = value_of(completion_of(Parts{part(500, 999)}, std::nullopt));
  EXPECT_EQ(beginning.gap, (ByteRange{0, 499}));
  const Completion between = value_of(completion_of(Parts{part(0, 99), part(900, 999)}, std::nullopt));
  EXPECT_EQ(between.gap, (ByteRange{100, 899}));
  EXPECT_TRUE(between.is_whole());
  const Completion next = value_of(completion_of(Parts{part(0, 99)}, RangeSpec{.first = 100, .last = 199}));
  EXPECT_EQ(next.gap, (ByteRange{100, 199})) << "what follows a part goes on with it";
  EXPECT_EQ(next.united(), (ByteRange{0, 199}));
  EXPECT_FALSE(next.is_whole());
}

TEST(StoredParts, WhatIsOfNoUse) {
  EXPECT_FALSE(completion_of(Parts{}, std::nullopt));
  EXPECT_FALSE(completion_of(Parts{part(100, 199)}, std::nullopt)) << "two gaps";
  EXPECT_FALSE(completion_of(Parts{part(0, 99)}, RangeSpec{.first = 200, .last = 299})) << "nothing of it is there";
  EXPECT_FALSE(completion_of(Parts{part(0, 99)}, RangeSpec{.first = 5000, .last = std::nullopt}));
  EXPECT_FALSE(completion_of(Parts{part(0, 99, "W/\"v1\"")}, std::nullopt)) << "a weak tag proves nothing";
  EXPECT_FALSE(completion_of(Parts{part(0, 99, "")}, std::nullopt));
  EXPECT_FALSE(completion_of(Parts{part(0, 99, "\"v1\"", kLength, 98)}, std::nullopt)) << "shorter than it says";
  const Completion mixed = value_of(completion_of(Parts{part(0, 99), part(900, 999, "\"v0\"")}, std::nullopt));
  EXPECT_EQ(mixed.gap, (ByteRange{100, 999})) << "the newest counts, and what is of the same content";
  EXPECT_EQ(mixed.after, nullptr);
}

TEST(StoredParts, OnlyWhatWasAskedForFits) {
  const Completion completion = value_of(completion_of(Parts{part(0, 499)}, std::nullopt));
  const auto fits = [&](std::string_view range, std::string_view tag) {
    return completion.fits(std::vector<net::HttpField>{{"Content-Range", range}, {"ETag", tag}});
  };
  EXPECT_TRUE(fits("bytes 500-999/1000", "\"v1\""));
  EXPECT_FALSE(fits("bytes 500-999/1000", "\"v2\""));
  EXPECT_FALSE(fits("bytes 500-999/1000", "W/\"v1\""));
  EXPECT_FALSE(fits("bytes 500-999/1001", "\"v1\""));
  EXPECT_FALSE(fits("bytes 500-999/*", "\"v1\""));
  EXPECT_FALSE(fits("bytes 500-998/1000", "\"v1\""));
  EXPECT_FALSE(completion.fits(std::vector<net::HttpField>{{"ETag", "\"v1\""}}));
}

// Against bytes counted one by one.
TEST(StoredParts, GapAndPartsAreTheUnitedRangeOnce) {
  Random random(20261129);
  size_t found = 0;
  for (int round = 0; round < 20'000; ++round) {
    Parts parts;
    for (uint64_t i = 0; i < 1 + random.below(4); ++i) {
      const uint64_t first = random.below(20), last = first + random.below(20 - first);
      parts.push_back(part(first, last, "\"v\"", 20));
    }
    const uint64_t first = random.below(20), last = first + random.below(20 - first);
    const auto completion = completion_of(parts, RangeSpec{.first = first, .last = last});
    if (!completion) continue;
    ++found;
    std::vector<int> times(20, 0);
    const auto count = [&](const ByteRange& range) {
      for (uint64_t byte = range.first; byte <= range.last; ++byte) ++times[byte];
    };
    count(completion->gap);
    if (completion->before) count(range_of(*completion->before));
    if (completion->after) count(range_of(*completion->after));
    const ByteRange united = completion->united();
    for (uint64_t byte = 0; byte < 20; ++byte) {
      ASSERT_EQ(times[byte], byte >= united.first && byte <= united.last ? 1 : 0) << "round " << round;
    }
    ASSERT_LE(united.first, first);
    ASSERT_GE(united.last, last);
  }
  EXPECT_GT(found, 1000U);
}

}  // namespace
}  // namespace verge::cache
