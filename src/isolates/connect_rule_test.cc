#include "isolates/connect_rule.h"

#include <vector>

#include <gtest/gtest.h>

namespace verge::isolates {
namespace {

std::vector<ConnectRule> rules(const std::vector<std::string>& texts) {
  std::vector<ConnectRule> all;
  for (const std::string& text : texts) all.push_back(*parse_connect_rule(text));
  return all;
}

TEST(ConnectRule, WhatIsNoHostWithAPortIsRefused) {
  for (const char* text : {"",       "db",      "db:",       ":1",    "db:0",      "db:65536",      "db:1x",
                           "db:-1",  "*:1",     "*.:1",      "a b:1", "a/b:1",     "::1:1",         "[::1]",
                           "[db]:1", "[::1]:0", "*.*.net:1", "d*b:1", "user@db:1", "*.127.0.0.1:1", "*.localhost:1"}) {
    EXPECT_FALSE(parse_connect_rule(text)) << text;
  }
  EXPECT_EQ(*parse_connect_rule("Db.Internal.:5432"), (ConnectRule{"db.internal", 5432, false, false}));
  EXPECT_EQ(*parse_connect_rule("*.Example.net:443"), (ConnectRule{".example.net", 443, true, false}));
  EXPECT_EQ(*parse_connect_rule("[0:0::1]:6379"), (ConnectRule{"::1", 6379, false, true}));
  EXPECT_EQ(*parse_connect_rule("127.0.0.1:80"), (ConnectRule{"127.0.0.1", 80, false, true}));
  EXPECT_TRUE(parse_connect_rule("localhost:80")->is_literal);
}

TEST(ConnectRule, OnlyWhatIsListedIsReached) {
  const std::vector<ConnectRule> listed =
      rules({"db.internal:5432", "*.example.net:443", "a.example.net:443", "[::1]:1"});
  const auto reaches = [&](const char* text) {
    const Result<const ConnectRule*> rule = rule_for(listed, *parse_host_and_port(text), "w");
    if (!rule) EXPECT_EQ(rule.error().code, "workers.connect");
    return rule.has_value();
  };
  for (const char* text :
       {"db.internal:5432", "DB.internal.:5432", "x.example.net:443", "a.b.example.net:443", "[0::1]:1"}) {
    EXPECT_TRUE(reaches(text)) << text;
  }
  for (const char* text : {"db.internal:5433", "xdb.internal:5432", "example.net:443", "xexample.net:443",
                           "x.example.net:80", "127.0.0.1:1", "[::2]:1", "x.example.net.evil.com:443"}) {
    EXPECT_FALSE(reaches(text)) << text;
  }
  EXPECT_FALSE(rule_for({}, *parse_host_and_port("db:1"), "w"));
  EXPECT_FALSE((*rule_for(listed, *parse_host_and_port("a.example.net:443"), "w"))->is_wildcard);
}

TEST(ConnectRule, ANameDoesNotLeadToThisMachineAndAWildcardNotToItsNetwork) {
  const auto may = [](const char* rule, const char* wanted, const char* address) {
    return may_connect(*parse_connect_rule(rule), *parse_host_and_port(wanted), *net::Address::parse(address))
        .has_value();
  };
  EXPECT_TRUE(may("db:1", "db:1", "9.9.9.9:1"));
  EXPECT_TRUE(may("db:1", "db:1", "10.0.0.1:1"));
  EXPECT_TRUE(may("*.net:1", "a.net:1", "9.9.9.9:1"));
  EXPECT_FALSE(may("*.net:1", "a.net:1", "10.0.0.1:1"));
  for (const char* near : {"127.0.0.1:1", "127.9.9.9:1", "0.0.0.0:1", "169.254.169.254:1", "[::1]:1", "[fe80::1]:1",
                           "[::ffff:127.0.0.1]:1", "[::]:1", "224.0.0.1:1", "[64:ff9b::7f00:1]:1"}) {
    EXPECT_FALSE(may("db:1", "db:1", near)) << near;
    EXPECT_FALSE(may("*.net:1", "a.net:1", near)) << near;
  }
  EXPECT_TRUE(may("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"));
  EXPECT_TRUE(may("localhost:1", "localhost:1", "[::1]:1"));
}

}  // namespace
}  // namespace verge::isolates
