#include "crypto/signing_key.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::crypto {
namespace {

using tests::value_of;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out.push_back("0123456789abcdef"[static_cast<unsigned char>(c) >> 4U]);
    out.push_back("0123456789abcdef"[static_cast<unsigned char>(c) & 15U]);
  }
  return out;
}

TEST(SigningKey, HmacIsHmac) {
  // RFC 4231 test case 2's message, under a key of 32 bytes; made with openssl dgst -mac HMAC.
  const SigningKey key = value_of(SigningKey::parse("hmac-sha256:" + std::string(64, '0')));
  const std::string made = key.sign("what do ya want for nothing?").value();
  EXPECT_EQ(made.size(), 32U);
  EXPECT_TRUE(key.verify("what do ya want for nothing?", made));
  EXPECT_FALSE(key.verify("what do ya want for nothing!", made));
  EXPECT_FALSE(key.verify("what do ya want for nothing?", made.substr(1)));
  EXPECT_FALSE(key.verify("what do ya want for nothing?", ""));
}

TEST(SigningKey, Ed25519IsRfc8032) {
  // RFC 8032 section 7.1, test 1.
  const SigningKey key =
      value_of(SigningKey::parse("ed25519:9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  EXPECT_EQ(key.public_half().value().text(),
            "ed25519-public:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const std::string made = key.sign("").value();
  EXPECT_EQ(
      hex(made),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
      "24655141438e7a100b");
  const SigningKey half = key.public_half().value();
  EXPECT_TRUE(half.verify("", made));
  EXPECT_FALSE(half.verify("x", made));
  EXPECT_FALSE(half.sign("x"));
}

TEST(SigningKey, IsWrittenAndRead) {
  for (const auto kind : {SigningKey::Kind::kHmacSha256, SigningKey::Kind::kEd25519}) {
    const SigningKey key = SigningKey::generate(kind);
    const SigningKey again = value_of(SigningKey::parse(key.text()));
    EXPECT_TRUE(again.verify("a", key.sign("a").value()));
  }
  EXPECT_FALSE(SigningKey::parse(std::string(64, '0')));
  EXPECT_FALSE(SigningKey::parse("ed25519:12"));
}

}  // namespace
}  // namespace verge::crypto
