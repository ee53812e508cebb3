#include "cli/terminal_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace verge::cli {
namespace {

using testing::ElementsAre;

TEST(TerminalText, CountsColumns) {
  EXPECT_EQ(columns_of("edge-1"), 6U);
  EXPECT_EQ(columns_of("Zürich"), 6U);
  EXPECT_EQ(columns_of("東京"), 4U);
  EXPECT_EQ(columns_of("서울"), 4U);
  EXPECT_EQ(columns_of("🚀"), 2U);
  EXPECT_EQ(columns_of("e\u0301"), 1U) << "an accent of its own stands on the letter";
}

TEST(TerminalText, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(cut("edge-1", 6), "edge-1");
  EXPECT_EQ(cut("edge-12", 6), "edge-…");
  EXPECT_EQ(cut("東京都", 6), "東京都");
  EXPECT_EQ(cut("東京都", 5), "東京…");
  EXPECT_EQ(cut("東京都", 4), "東…") << "half of a character is none";
  EXPECT_EQ(cut("edge", 0), "");
  EXPECT_EQ(padded("東京", 6), "東京  ");
}

TEST(TerminalText, LeavesEscapesWhole) {
  const std::string text = printable("ab\u202ecd");
  ASSERT_EQ(text, "ab\\u{202e}cd");
  for (size_t columns = 3; columns < columns_of(text); ++columns) {
    const std::string shown = cut(text, columns);
    EXPECT_EQ(shown.contains("\\"), shown.contains("}")) << shown;
    EXPECT_LE(columns_of(shown), columns);
  }
  EXPECT_EQ(cut("a\\x9bb", 4), "a…");
  EXPECT_EQ(cut("C:\\u", 3), "C:…") << "what looks like the begin of one is text";
}

TEST(TerminalText, WrapsBetweenWords) {
  EXPECT_THAT(wrapped("bring the parent back, or free space", 16, 9),
              ElementsAre("bring the parent", "back, or free", "space"));
  EXPECT_THAT(wrapped("bring the parent back, or free space", 16, 2),
              ElementsAre("bring the parent", "back, or free s…"));
  EXPECT_THAT(wrapped("abcdefgh", 3, 9), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(wrapped("東京", 1, 9), ElementsAre("…"));
  EXPECT_THAT(wrapped("", 3, 9), ElementsAre());
}

}  // namespace
}  // namespace verge::cli
