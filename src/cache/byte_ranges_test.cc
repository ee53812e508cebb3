#include "cache/byte_ranges.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

std::vector<ByteRange> ranges(std::string_view text, uint64_t length) {
  const auto specs = parse_range(text);
  return specs ? satisfiable(*specs, length) : std::vector<ByteRange>{{99, 99}};
}

TEST(ByteRanges, OfTenBytes) {
  EXPECT_EQ(ranges("bytes=0-1", 10), (std::vector<ByteRange>{{0, 1}}));
  EXPECT_EQ(ranges("bytes=5-", 10), (std::vector<ByteRange>{{5, 9}}));
  EXPECT_EQ(ranges("bytes=-3", 10), (std::vector<ByteRange>{{7, 9}}));
  EXPECT_EQ(ranges("BYTES=-30", 10), (std::vector<ByteRange>{{0, 9}}));
  EXPECT_EQ(ranges("bytes=3-99999999999999999999999", 10), (std::vector<ByteRange>{{3, 9}}));
  EXPECT_EQ(ranges("bytes=7-8, 0-1 ,2-3,,9-9", 10), (std::vector<ByteRange>{{0, 9}}));
  EXPECT_EQ(ranges("bytes=500-509, 0-1 ,2-3,,510-519", 1000), (std::vector<ByteRange>{{500, 519}, {0, 3}}));
  EXPECT_TRUE(ranges("bytes=10-", 10).empty());
  EXPECT_TRUE(ranges("bytes=-0", 10).empty());
  EXPECT_TRUE(ranges("bytes=0-", 0).empty());
}

TEST(ByteRanges, WhatIsNone) {
  for (const std::string_view text : {"", "bytes", "bytes=", "bytes=,", "lines=1-2", "bytes=2-1", "bytes=a-b",
                                      "bytes=-", "bytes=1", "bytes=1-2x", "bytes=1--2", "bytes 1-2"}) {
    EXPECT_FALSE(parse_range(text)) << text;
  }
  std::string many = "bytes=0-0";
  for (size_t i = 1; i < kRangesMax; ++i) many += ",0-0";
  EXPECT_TRUE(parse_range(many));
  EXPECT_FALSE(parse_range(many + ",0-0"));
}

TEST(ByteRanges, TheSameBytesHoweverTheyAreMerged) {
  Random random(system_seed());
  for (int run = 0; run < 2000; ++run) {
    const uint64_t length = 1 + random.below(2000);
    std::string text = "bytes=";
    std::vector<bool> wanted(length, false);
    for (uint64_t n = 1 + random.below(5); n > 0; --n) {
      const uint64_t first = random.below(2100), last = first + random.below(200);
      text += std::to_string(first) + "-" + std::to_string(last) + ",";
      for (uint64_t i = first; i <= last && i < length; ++i) wanted[i] = true;
    }
    // What lies between two and is shorter than the head of a part is sent with them.
    for (uint64_t i = 0, gap = UINT64_MAX; i < length; ++i) {
      if (!wanted[i]) {
        if (gap != UINT64_MAX) ++gap;
        continue;
      }
      for (uint64_t j = 1; gap < kRangeGapMin && j <= gap; ++j) wanted[i - j] = true;
      gap = 0;
    }
    std::vector<bool> got(length, false);
    for (const ByteRange& range : ranges(text, length)) {
      ASSERT_LT(range.last, length) << text;
      for (uint64_t i = range.first; i <= range.last; ++i) {
        ASSERT_FALSE(got[i]) << text;
        got[i] = true;
      }
    }
    EXPECT_EQ(got, wanted) << text;
  }
}

TEST(ContentRange, ReadAndWritten) {
  EXPECT_EQ(parse_content_range("bytes 4-9/10"), (ContentRange{{4, 9}, 10}));
  EXPECT_EQ(parse_content_range("bytes 4-9/*"), (ContentRange{{4, 9}, std::nullopt}));
  EXPECT_EQ(content_range({4, 9}, 10), "bytes 4-9/10");
  for (const std::string_view text : {"", "bytes */10", "bytes 4-10/10", "bytes 9-4/10", "bytes 4-9", "lines 4-9/10",
                                      "bytes 4-9/x", "bytes 4-99999999999999999999/*"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

}  // namespace
}  // namespace verge::cache
