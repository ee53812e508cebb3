#include "traces/http_attributes.h"

#include <gtest/gtest.h>

namespace verge::traces {
namespace {

TEST(HttpAttributes, TheServerIsAnAddressAndAPort) {
  struct Case {
    std::string_view authority, scheme, address;
    std::optional<int64_t> port;
  };
  const Case cases[] = {{"shop.example", "http", "shop.example", 80},
                        {"shop.example", "https", "shop.example", 443},
                        {"shop.example", "", "shop.example", std::nullopt},
                        {"shop.example:8080", "https", "shop.example", 8080},
                        {"[2001:db8::1]:8443", "https", "2001:db8::1", 8443},
                        {"[2001:db8::1]", "http", "2001:db8::1", 80},
                        {"user:secret@shop.example:1", "http", "shop.example", 1},
                        {"shop.example:99999", "http", "shop.example", 80},
                        {"shop.example:", "http", "shop.example", 80},
                        {"", "http", "", 80}};
  for (const Case& each : cases) {
    const ServerName name = server_name(each.authority, each.scheme);
    EXPECT_EQ(name.address, each.address) << each.authority;
    EXPECT_EQ(name.port, each.port) << each.authority;
  }
}

TEST(HttpAttributes, AFullUrlTellsNoSecret) {
  EXPECT_EQ(full_url("http://shop.example:81/a/b?token=1#x"), "http://shop.example:81/a/b");
  EXPECT_EQ(full_url("https://user:secret@shop.example/a@b"), "https://shop.example/a@b");
  EXPECT_EQ(full_url("https://user:secret@shop.example"), "https://shop.example");
  EXPECT_EQ(full_url("shop.example?x"), "shop.example");
}

TEST(HttpAttributes, AMethodThatIsMadeUpNamesNoSpan) {
  std::vector<Attribute> attributes;
  EXPECT_EQ(add_method(attributes, "GET"), "GET");
  EXPECT_EQ(add_method(attributes, "get"), "HTTP");
  ASSERT_EQ(attributes.size(), 3U);
  EXPECT_EQ(std::get<std::string>(attributes[0].value), "GET");
  EXPECT_EQ(std::get<std::string>(attributes[1].value), "_OTHER");
  EXPECT_EQ(attributes[2].key, "http.request.method_original");
  EXPECT_EQ(std::get<std::string>(attributes[2].value), "get");
}

}  // namespace
}  // namespace verge::traces
