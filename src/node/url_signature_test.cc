#include "node/url_signature.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::node {
namespace {

using tests::value_of;

const crypto::SigningKey kKey = value_of(crypto::SigningKey::parse("hmac-sha256:" + std::string(64, '1')));
constexpr int64_t kNow = 1'800'000'000;

std::string_view judge(std::string_view path, std::string_view query, std::string_view cookie = "",
                       std::string_view host = "a.example", int64_t now = kNow) {
  static const UrlSignatures signatures(
      {{"old", value_of(crypto::SigningKey::parse("hmac-sha256:" + std::string(64, '2')))}, {"k1", kKey}});
  const std::vector<net::HttpField> fields = {{"Cookie", cookie}};
  return signatures.refusal(host, path, query, fields, now);
}

std::string sign(const SignedScope& scope, std::string_view id = "k1") {
  return *signature_parameters(scope, id, kKey);
}

TEST(UrlSignature, TheCanonicalFormIsAsDocumented) {
  EXPECT_EQ(canonical_form({.host = "a.example", .path = "/v/1", .query = "q=2", .expires_s = 7}, "k1"),
            "verge-signed-1\nk1\n7\npath\na.example\n/v/1\nq=2");
  EXPECT_EQ(canonical_form({.host = "a.example", .is_prefix = true, .path = "/v/", .query = "", .expires_s = 7}, "k1"),
            "verge-signed-1\nk1\n7\nprefix\na.example\n/v/\n");
}

TEST(UrlSignature, OfOnePath) {
  const std::string made = sign({.host = "a.example", .path = "/v/1", .query = "q=2", .expires_s = kNow});
  EXPECT_EQ(judge("/v/1", "q=2&" + made), "");
  EXPECT_EQ(judge("/v/1", made + "&q=2"), "") << "the order of its own parameters does not matter";
  for (const auto& [path, query] : {std::pair("/v/2", "q=2"), {"/v/1", "q=3"}, {"/v/1", ""}, {"/v/%31", "q=2"}}) {
    EXPECT_NE(judge(path, std::string(query) + "&" + made), "") << path << query;
  }
  EXPECT_NE(judge("/v/1", "q=2&" + made, "", "b.example"), "");
  EXPECT_EQ(judge("/v/1", "q=2&" + made, "", "a.example", kNow + 1), "the signature has expired");
  EXPECT_NE(judge("/v/1", "q=2&" + made + "&verge-key=k1"), "") << "twice";
  std::string later = made;
  later.replace(later.find("18000"), 5, "19000");
  EXPECT_NE(judge("/v/1", "q=2&" + later), "");
  EXPECT_NE(judge("/v/1", "q=2&" + made.substr(0, made.size() - 1)), "");
  EXPECT_NE(judge("/v/1", "q=2"), "");
  EXPECT_NE(judge("/v/1", "q=2&" + sign({.host = "a.example", .path = "/v/1", .query = "q=2", .expires_s = kNow}, "x")),
            "");
  EXPECT_NE(
      judge("/v/1", "q=2&" + sign({.host = "a.example", .path = "/v/1", .query = "q=2", .expires_s = kNow}, "old")), "")
      << "the id of another key";
}

TEST(UrlSignature, OfAPrefixByUrlOrCookie) {
  const std::string made = sign({.host = "a.example", .is_prefix = true, .path = "/v/", .expires_s = kNow});
  EXPECT_EQ(judge("/v/1", "any=thing&" + made), "");
  EXPECT_EQ(judge("/v/1", "any=thing", "a=b; verge-signed=" + made + "; c=d"), "");
  EXPECT_NE(judge("/w/1", "", "verge-signed=" + made), "");
  EXPECT_NE(judge("/v/../w", "", "verge-signed=" + made), "");
  EXPECT_NE(judge("/v/%2e%2e/w", "", "verge-signed=" + made), "");
  const std::string one = sign({.host = "a.example", .path = "/v/1", .expires_s = kNow});
  EXPECT_NE(judge("/v/1", "", "verge-signed=" + one), "");
}

}  // namespace
}  // namespace verge::node
