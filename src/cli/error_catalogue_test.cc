#include "cli/error_catalogue.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace verge::cli {
namespace {

TEST(ErrorCatalogue, ReadsTheRowsOfATable) {
  const auto catalogue = error_catalogue(
      "# Errors\n\n| Code | When | What to do |\n|---|---|---|\n"
      "| `a.b` | the `[mqtt]` table, see [mqtt.md](mqtt.md#keys) | read [the page](http.md), then *go on* |\n"
      "| `c.d` | no fix follows |\n");
  ASSERT_EQ(catalogue.size(), 1U);
  EXPECT_EQ(catalogue[0], (ErrorExplanation{"a.b", "the [mqtt] table, see docs/mqtt.md",
                                            "read the page (docs/http.md), then *go on*"}));
}

TEST(ErrorCatalogue, HoldsEveryCodeOnceInTheProgram) {
  const auto catalogue = error_catalogue(kErrorCatalogueText);
  EXPECT_GT(catalogue.size(), 100U);
  std::vector<std::string> codes;
  for (const ErrorExplanation& each : catalogue) {
    EXPECT_FALSE(each.when.empty()) << each.code;
    EXPECT_FALSE(each.fix.empty()) << each.code;
    EXPECT_EQ(each.when.find("]("), std::string::npos) << each.when;
    codes.push_back(each.code);
  }
  std::ranges::sort(codes);
  EXPECT_EQ(std::ranges::adjacent_find(codes), codes.end());
}

}  // namespace
}  // namespace verge::cli
