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

TEST(PlainUrl, AsAPersonMayWriteIt) {
  EXPECT_EQ(plain_url("HTTP://Site.Example:80/A?B=C"), "http://site.example/A?B=C");
  EXPECT_EQ(plain_url("https://a:443/"), "https://a/");
  EXPECT_EQ(plain_url("https://a:80/x"), "https://a:80/x");
  EXPECT_EQ(plain_url("http://A"), "http://a/");
  EXPECT_EQ(plain_url("http://a.example.:80/x"), "http://a.example/x");
  EXPECT_EQ(plain_url_prefix("http://Www.Exa"), "http://www.exa");
  EXPECT_EQ(plain_url_prefix("http://A:80/x/Y"), "http://a/x/Y");
}

TEST(AuthorityOf, AsTheKeyHasIt) {
  EXPECT_EQ(authority_of("http://a:8080/x"), "a:8080");
  EXPECT_EQ(authority_of("https://a?x"), "a");
  EXPECT_EQ(authority_of("http://a*"), "a");
  EXPECT_EQ(authority_of("http://a*b.example/"), "a*b.example") << "nothing of the host is lost";
  EXPECT_EQ(authority_of("http://a**"), "a*");
  EXPECT_EQ(authority_of(""), "");
}

TEST(UnkeyedInput, IsKnownByName) {
  for (const std::string_view name : {"X-Forwarded-For", "x-forwarded-ssl", "X_Forwarded_Path", "x-forwarded",
                                      "Forwarded", "True-Client-IP", "proxy"}) {
    EXPECT_TRUE(is_unkeyed_input(name)) << name;
  }
  for (const std::string_view name : {"x-forward", "x-request-id", "accept", "if-none-match"}) {
    EXPECT_FALSE(is_unkeyed_input(name)) << name;
  }
  EXPECT_TRUE(is_unkeyed_input("if_none_match")) << "which an origin may take for the cache's own";
}

TEST(Traits, WhatConnectionHides) {
  const auto hides = [](std::string_view value) {
    return traits_of(std::vector<net::HttpField>{{"connection", value}}).hides_fields;
  };
  EXPECT_FALSE(hides("keep-alive"));
  EXPECT_FALSE(hides("Keep-Alive, Upgrade,, TE"));
  EXPECT_FALSE(hides(""));
  EXPECT_TRUE(hides("keep-alive, Accept-Language"));
  EXPECT_TRUE(hides("cookie"));
}

}  // namespace
}  // namespace verge::cache
