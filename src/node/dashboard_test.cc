#include "node/dashboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::node {
namespace {

TEST(Dashboard, IsThereAndSmall) {
  size_t bytes = 0;
  for (size_t i = 0; i < dashboard_file_count(); ++i) {
    const DashboardFile file = dashboard_file_at(i);
    EXPECT_THAT(std::string(file.body.substr(0, 2)), "\x1f\x8b") << file.path << " is gzip";
    EXPECT_EQ(file.tag.size(), 16U);
    bytes += file.body.size();
  }
  EXPECT_LT(bytes, 120U << 10);
  const DashboardFile index = tests::value_of(dashboard_file("/"));
  EXPECT_EQ(index.path, "/index.html");
  EXPECT_EQ(index.type, "text/html; charset=utf-8");
  EXPECT_THAT(index.plain(), testing::AllOf(testing::StartsWith("<!doctype html>"), testing::EndsWith("</html>\n")));
  EXPECT_FALSE(dashboard_file("/none"));
  EXPECT_FALSE(dashboard_file("/../etc/passwd"));
}

}  // namespace
}  // namespace verge::node
