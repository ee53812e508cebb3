#include "cache/file_answers.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using Codings = std::vector<std::string_view>;

Codings accepted(std::string_view text) {
  const net::HttpField field{"Accept-Encoding", text};
  return accepted_codings(std::span(&field, 1));
}

TEST(FileAnswers, KnowsWhichCodingsAClientTakes) {
  EXPECT_EQ(accepted("gzip, br"), (Codings{"br", "gzip"}));
  EXPECT_EQ(accepted("GZIP;q=0.5"), Codings{"gzip"});
  EXPECT_EQ(accepted("gzip;q=0, zstd; q=0.000, br;q=0.001"), Codings{"br"});
  EXPECT_EQ(accepted("identity, deflate"), Codings{});
  EXPECT_EQ(accepted(""), Codings{});
}

}  // namespace
}  // namespace verge::cache
