#include "cache/request_view.h"

#include <vector>

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

TEST(RequestView, LeavesParametersOutOfTheQuery) {
  const std::vector<std::string> ignored = {"utm_*", "id"};
  EXPECT_EQ(query_without("a=1&utm_source=x&id=3&b=2&idea=4&utm_", ignored), "a=1&b=2&idea=4");
  EXPECT_EQ(query_without("id", ignored), "");
  EXPECT_EQ(query_without("b=2&a=1&b=1", ignored), "b=2&a=1&b=1") << "nothing is sorted";
  EXPECT_EQ(query_without("a=1", std::vector<std::string>{"*"}), "");
}

TEST(RequestView, LeavesACookieOut) {
  EXPECT_EQ(cookies_without("a=b; verge-signed=x=y&z; c=d", "verge-signed"), "a=b; c=d");
  EXPECT_EQ(cookies_without("verge-signed=1", "verge-signed"), "");
  EXPECT_EQ(cookies_without("verge-signed2=1;a", "verge-signed"), "verge-signed2=1; a");
}

}  // namespace
}  // namespace verge::cache
