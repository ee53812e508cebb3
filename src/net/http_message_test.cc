#include "net/http_message.h"

#include <gtest/gtest.h>

namespace verge::net {
namespace {

TEST(HttpMessage, FindsFieldsAndListMembers) {
  const std::vector<HttpField> fields = {{"Accept", "a"}, {"Connection", "keep-alive, Upgrade"}, {"connection", " x,"}};
  EXPECT_EQ(find_field(fields, "ACCEPT"), "a");
  EXPECT_EQ(find_field(fields, "Accep"), std::nullopt);
  EXPECT_TRUE(list_has(fields, "Connection", "upgrade"));
  EXPECT_TRUE(list_has(fields, "Connection", "x"));
  EXPECT_FALSE(list_has(fields, "Connection", "keep"));
  EXPECT_TRUE(keeps_alive(0, fields));
  EXPECT_FALSE(keeps_alive(0, {}));
  EXPECT_TRUE(keeps_alive(1, {}));
  EXPECT_FALSE(keeps_alive(1, std::vector<HttpField>{{"Connection", "Close"}}));
}

TEST(HttpMessage, SplitsTargets) {
  const auto split = [](std::string_view method, std::string_view target) {
    const TargetParts parts = split_target(method, target);
    return fmt::format("{}|{}|{}", parts.authority, parts.path, parts.query);
  };
  EXPECT_EQ(split("GET", "/a/b?c=d?e"), "|/a/b|c=d?e");
  EXPECT_EQ(split("GET", "/"), "|/|");
  EXPECT_EQ(split("OPTIONS", "*"), "|*|");
  EXPECT_EQ(split("GET", "http://h:1/p?q"), "h:1|/p|q");
  EXPECT_EQ(split("GET", "http://h?q"), "h|/|q");
  EXPECT_EQ(split("CONNECT", "h:443"), "h:443||");
}

TEST(HttpMessage, DecodesPercents) {
  EXPECT_EQ(percent_decode("a%2Fb+%e2%82%ac"), "a/b+\xe2\x82\xac");
  for (const char* bad : {"%", "%2", "a%zz", "%%41"}) EXPECT_EQ(percent_decode(bad), std::nullopt) << bad;
  EXPECT_EQ(query_parameter("a=1&b=x+y%26z&b=2&c", "b"), "x y&z");
  EXPECT_EQ(query_parameter("a=1&%62=2", "b"), "2");
  EXPECT_EQ(query_parameter("a=100%", "a"), "100%");
  EXPECT_EQ(query_parameter("a=1&c", "c"), "");
  EXPECT_EQ(query_parameter("a=1", "d"), std::nullopt);
  EXPECT_EQ(query_parameter_names("a=1&%62=x=y&&c"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(query_parameter_names(""), std::vector<std::string>{});
}

}  // namespace
}  // namespace verge::net
