#include "net/forwarded.h"

#include <vector>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

std::vector<Network> networks(std::initializer_list<std::string_view> texts) {
  std::vector<Network> made;
  for (const std::string_view text : texts) made.push_back(*Network::parse(text));
  return made;
}

TEST(Network, ParsesAndContains) {
  const Network ten = *Network::parse("10.0.0.0/9");
  EXPECT_TRUE(ten.contains(*Address::parse("10.127.1.2:80")));
  EXPECT_FALSE(ten.contains(*Address::parse("10.128.1.2:80")));
  EXPECT_TRUE(ten.contains(*Address::parse("[::ffff:10.1.2.3]:80"))) << "IPv4 in IPv6 clothes";
  EXPECT_FALSE(ten.contains(*Address::parse("[::1]:80")));
  EXPECT_TRUE(Network::parse("::/0")->contains(*Address::parse("[2001:db8::1]:1")));
  EXPECT_EQ(Network::parse("192.0.2.7")->text(), "192.0.2.7/32");
  for (const std::string_view bad : {"", "10.0.0.0/33", "10.0.0.1/8", "localhost", "a/8", "10.0.0.0/", "::1/129"}) {
    EXPECT_FALSE(Network::parse(bad)) << bad;
  }
}

std::string client(ForwardedField from, std::vector<HttpField> fields) {
  const std::vector<Network> trusted = networks({"10.0.0.0/8", "fd00::/8"});
  const ForwardedClient found = forwarded_client(fields, from, trusted);
  std::string text = found.address ? found.address->ip_text() : "none";
  if (found.is_secure) text.append(*found.is_secure ? " https" : " http");
  return text;
}

TEST(Forwarded, TheFirstFromTheEndThatIsNotTrustedIsTheClient) {
  const auto from = ForwardedField::kXForwardedFor;
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.0.0.1"}}), "2.2.2.2");
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "1.1.1.1"}, {"x-forwarded-for", "2.2.2.2:99"}}), "2.2.2.2");
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "2001:db8::1, fd00::1"}}), "2001:db8::1");
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "10.0.0.9, 10.0.0.1"}}), "10.0.0.9");
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "1.1.1.1, unknown, 10.0.0.1"}}), "10.0.0.1");
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "localhost"}}), "none");
  EXPECT_EQ(client(from, {{"Forwarded", "for=1.1.1.1"}}), "none") << "not the field that proxies write";
  EXPECT_EQ(client(from, {{"X-Forwarded-For", "1.1.1.1"}, {"X-Forwarded-Proto", "http, https"}}), "1.1.1.1 https");
  EXPECT_EQ(client(ForwardedField::kNone, {{"X-Forwarded-For", "1.1.1.1"}}), "none");
}

TEST(Forwarded, ReadsTheStandardField) {
  const auto from = ForwardedField::kForwarded;
  EXPECT_EQ(client(from, {{"Forwarded", R"(for=1.1.1.1, for="[2001:db8::7]:4711";proto=https)"}}), "2001:db8::7 https");
  EXPECT_EQ(client(from, {{"Forwarded", R"(for="_hidden, 1.1.1.1")"}}), "none");
  EXPECT_EQ(client(from, {{"Forwarded", R"(By=10.0.0.3;For=3.3.3.3;Proto="http")"}}), "3.3.3.3 http");
}

}  // namespace
}  // namespace verge::net
