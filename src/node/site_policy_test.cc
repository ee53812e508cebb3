#include "node/site_policy.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::node {
namespace {

using tests::value_of;

Config read(std::string_view more) {
  ConfigReading reading = read_config_text(
      "[http]\ningest = false\nuplink = false\n[[site]]\nhosts = \"*\"\norigins = \"http://127.0.0.1:1\"\n" +
          std::string(more),
      "x.toml");
  EXPECT_TRUE(reading.problems.empty()) << reading.problems.front().line();
  return std::move(reading.config);
}

TEST(SitePolicy, ARuleHasWhatItDoesNotSayFromItsSite) {
  const Config config = read(R"(
override_ttl = "1min"
requests_a_second = 5
root = "/www"
index = "home.html"
[[site.rule]]
prefix = "/a/"
default_ttl = "2min"
[[site.rule]]
path = "/b"
redirect = "/c"
requests_at_once = 2
[[site.rule]]
glob = "/*"
root = ""
)");
  const std::vector<cache::SiteOptions> sites = *site_options(config.sites, {});
  ASSERT_EQ(sites.size(), 1U);
  ASSERT_EQ(sites[0].rules.size(), 3U);
  const cache::PathPolicy& first = sites[0].rules[0].policy;
  EXPECT_EQ(first.storage.override_ttl, 60);
  EXPECT_EQ(first.storage.default_ttl, 120);
  EXPECT_EQ(value_of(first.root).index, "home.html");
  EXPECT_EQ(first.limit, sites[0].policy.limit) << "counted together";
  const cache::PathPolicy& second = sites[0].rules[1].policy;
  EXPECT_FALSE(second.root) << "its own redirect";
  EXPECT_EQ(value_of(second.redirect).status, 302);
  EXPECT_EQ(value_of(second.limit).a_second, 0) << "its own limits";
  EXPECT_NE(value_of(second.limit).group, value_of(first.limit).group);
  EXPECT_FALSE(sites[0].rules[2].policy.root);
}

TEST(SitePolicy, WhatIsNotConfiguredIsPlain) {
  const Config config = read("override_ttl = \"1min\"\nrequest_headers = { remove = \"Cookie\" }");
  EXPECT_TRUE((*site_options(config.sites, {}))[0].policy.is_plain());
  EXPECT_FALSE((*site_options(read("cache = false").sites, {}))[0].policy.is_plain());
}

TEST(SitePolicy, IsPrintedAsItIsRead) {
  const Config config = read(R"(
ignored_query = ["a", "b*"]
signing_keys = [{ id = "k", file = "/f" }]
answer_headers = { remove = ["A"], set = { "B-C" = "d\"e" }, add = { F = "g" } }
[[site.rule]]
glob = "/**"
scheme = "http"
redirect = "https://${host}${path}"
redirect_status = 308
redirect_query = false
[site.tls]
certificate = "c"
key = "k"
)");
  const ConfigReading again = read_config_text(print_config(config), "y.toml");
  ASSERT_TRUE(again.problems.empty()) << again.problems.front().line() << "\n" << print_config(config);
  EXPECT_EQ(again.config.sites, config.sites);
}

}  // namespace
}  // namespace verge::node
