#include "isolates/compatibility_date.h"

#include <gtest/gtest.h>

namespace verge::isolates {
namespace {

TEST(CompatibilityDate, IsADayThatThereIs) {
  for (const std::string_view good : {"2021-11-02", "2024-02-29", "2026-11-30", "2026-12-31"}) {
    EXPECT_TRUE(is_compatibility_date(good)) << good;
  }
  for (const std::string_view bad :
       {"", "2026", "2026-11-31", "2025-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026/01/01", "26-01-0001",
        "2026-1-1", "2026-01-01 ", "aaaa-bb-cc", "1999-01-01", "2026-0x-01", "2026-01-0-"}) {
    EXPECT_FALSE(is_compatibility_date(bad)) << bad;
  }
}

TEST(CompatibilityDate, IsReadFromACommentOfTheFirstLines) {
  const auto stated = [](std::string_view source) {
    const Result<std::string> date = stated_compatibility_date(source);
    return date ? *date : "refused: " + std::string(date.error().code);
  };
  EXPECT_EQ(stated("// compatibility_date = \"2026-11-30\"\nexport default {}"), "2026-11-30");
  EXPECT_EQ(stated("// A worker.\r\n//compatibility_date: 2026-11-30\r\n"), "2026-11-30");
  EXPECT_EQ(stated("/*\n * compatibility_date = '2026-11-30'\n */"), "2026-11-30");
  EXPECT_EQ(stated("// compatibility_date = 2026-11-30"), "2026-11-30");
  // What is no comment, of another key, or far below, says nothing.
  EXPECT_EQ(stated("const compatibility_date = 1;\n"), "");
  EXPECT_EQ(stated("// compatibility_dates = 1\n// compatibility_date is 1\n//\n/**/\n//"), "");
  EXPECT_EQ(stated(""), "");
  EXPECT_EQ(stated(std::string(1024, '\n') + "// compatibility_date = 2026-11-30"), "");
  // One that is no day is not passed over.
  EXPECT_EQ(stated("// compatibility_date = \"yesterday\"\n"), "refused: workers.compatibility-date");
  EXPECT_EQ(stated("// compatibility_date = \"2026-11-30"), "refused: workers.compatibility-date");
}

}  // namespace
}  // namespace verge::isolates
