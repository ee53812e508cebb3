#include "node/config_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

using testing::HasSubstr;

TEST(ConfigAddress, Listen) {
  EXPECT_EQ(*parse_listen_address("127.0.0.1:1883"), (HostAndPort{"127.0.0.1", 1883}));
  EXPECT_EQ(*parse_listen_address("[::]:0"), (HostAndPort{"::", 0}));
  EXPECT_EQ(*parse_listen_address("edge-1.example:65535"), (HostAndPort{"edge-1.example", 65535}));
  const auto refused = [](std::string_view text) {
    const auto parsed = parse_listen_address(text);
    return parsed ? std::string("accepted") : parsed.error().line();
  };
  EXPECT_THAT(refused(""), HasSubstr("has no host"));
  EXPECT_THAT(refused("127.0.0.1"), HasSubstr("has no port; write host:port"));
  EXPECT_THAT(refused("127.0.0.1:"), HasSubstr("has no port 0..65535"));
  EXPECT_THAT(refused("127.0.0.1:65536"), HasSubstr("has no port 0..65535"));
  EXPECT_THAT(refused("127.0.0.1:-1"), HasSubstr("has no port 0..65535"));
  EXPECT_THAT(refused("127.0.0.1:80x"), HasSubstr("has no port 0..65535"));
  EXPECT_THAT(refused("127.0.0.256:1"), HasSubstr("no IPv4 address"));
  EXPECT_THAT(refused(":1883"), HasSubstr("for all interfaces write 0.0.0.0 or [::]"));
  EXPECT_THAT(refused("::1:1883"), HasSubstr("put an IPv6 address in brackets"));
  EXPECT_THAT(refused("[::1:1883"), HasSubstr("has no ]"));
  EXPECT_THAT(refused("[1.2.3.4]:1"), HasSubstr("no IPv6 address between its brackets"));
  EXPECT_THAT(refused("[::1]1"), HasSubstr("something else than :"));
  EXPECT_THAT(refused("[::1]"), HasSubstr("has no port"));
  EXPECT_THAT(refused("a b:1"), HasSubstr("neither a name nor an address"));
  EXPECT_THAT(refused("unix:/run/x"), HasSubstr("is a Unix socket"));
  EXPECT_THAT(refused("tcp://1.2.3.4:1"), HasSubstr("is a URL"));
}

TEST(ConfigAddress, Parent) {
  EXPECT_EQ(*parse_parent_url("http://fog:8080"), (ParentAddress{{"fog", 8080}, false}));
  EXPECT_EQ(*parse_parent_url("HTTP://fog/"), (ParentAddress{{"fog", 80}, false}));
  EXPECT_EQ(*parse_parent_url("http://[2001:db8::1]:81/"), (ParentAddress{{"2001:db8::1", 81}, false}));
  EXPECT_EQ(*parse_parent_url("https://fog:8443"), (ParentAddress{{"fog", 8443}, true}));
  EXPECT_EQ(*parse_parent_url("HTTPS://fog/"), (ParentAddress{{"fog", 443}, true}));
  const auto refused = [](std::string_view text) {
    const auto parsed = parse_parent_url(text);
    return parsed ? std::string("accepted") : parsed.error().line();
  };
  EXPECT_THAT(refused("fog:8080"), HasSubstr("begins with neither http:// nor https://"));
  EXPECT_THAT(refused("https:/fog"), HasSubstr("begins with neither http:// nor https://"));
  EXPECT_THAT(refused("https://"), HasSubstr("has no host"));
  EXPECT_THAT(refused("http://fog/up"), HasSubstr("more than a host and a port"));
  EXPECT_THAT(refused("http://u@fog"), HasSubstr("more than a host and a port"));
  EXPECT_THAT(refused("http://"), HasSubstr("has no host"));
  EXPECT_THAT(refused("http://fog:0"), HasSubstr("has port 0"));
}

TEST(ConfigAddress, WebhookUrls) {
  const auto url = parse_webhook_url("https://hooks.example/a/b?c=d");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->authority, "hooks.example:443");
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(parse_webhook_url("http://[::1]:8080?x").value().authority, "[::1]:8080");
  EXPECT_EQ(parse_webhook_url("http://[::1]:8080?x").value().target, "/?x");
  EXPECT_EQ(parse_webhook_url("http://h").value().target, "/");
  for (const char* wrong : {"", "h/a", "ftp://h/a", "http://", "http://h:0/", "http://h/a b", "http://h/a#b",
                            "http://u:p@h/", "http://h/\r\nHost: x", "http://h:99999/"}) {
    EXPECT_FALSE(parse_webhook_url(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace verge::node
