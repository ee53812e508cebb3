// Vectors of FIPS 180-4, RFC 2202, RFC 4231, RFC 5869, RFC 6070 and RFC 7914.
#include "workers/crypto_hash.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::workers {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

const Stop kNever = [] { return false; };

TEST(CryptoHash, DigestsOfTheStandard) {
  EXPECT_EQ(hex(tests::value_of(digest(HashName::Sha1, "abc", kNever))), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(tests::value_of(digest(HashName::Sha256, "abc", kNever))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(tests::value_of(digest(HashName::Sha384, "abc", kNever))),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(
      hex(tests::value_of(digest(HashName::Sha512, "abc", kNever))),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
      "2a9ac94fa54ca49f");
}

TEST(CryptoHash, HmacWithKeysShorterAndLongerThanABlock) {
  EXPECT_EQ(hex(Hmac(HashName::Sha256, "Jefe").sign("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const Hmac longer(HashName::Sha256, std::string(131, '\xaa'));
  const std::string code = longer.sign("Test Using Larger Than Block-Size Key - Hash Key First");
  EXPECT_EQ(hex(code), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_TRUE(longer.verify("Test Using Larger Than Block-Size Key - Hash Key First", code));
  EXPECT_FALSE(longer.verify("Test Using Larger Than Block-Size Key - Hash Key Firsu", code));
  EXPECT_FALSE(longer.verify("Test Using Larger Than Block-Size Key - Hash Key First", code.substr(0, 31)));
  EXPECT_EQ(hex(Hmac(HashName::Sha1, "Jefe").sign("what do ya want for nothing?")),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(hex(Hmac(HashName::Sha384, "Jefe").sign("what do ya want for nothing?")),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
}

TEST(CryptoHash, HkdfGivesAtMost255Hashes) {
  const std::string secret(22, '\x0b');
  std::string salt;
  for (char byte = 0; byte <= 12; ++byte) salt += byte;
  EXPECT_EQ(hex(tests::value_of(hkdf(HashName::Sha256, secret, salt, "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", 42))),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(tests::value_of(hkdf(HashName::Sha256, secret, salt, "", 255 * 32)).size(), 255U * 32);
  EXPECT_FALSE(hkdf(HashName::Sha256, secret, salt, "", 255 * 32 + 1));
  EXPECT_EQ(tests::value_of(hkdf(HashName::Sha1, "", "", "", 0)), "");
}

TEST(CryptoHash, Pbkdf2OfTheStandards) {
  EXPECT_EQ(hex(tests::value_of(pbkdf2(HashName::Sha1, "password", "salt", 4096, 20, kNever))),
            "4b007901b765489abead49d926f721d065a429c1");
  EXPECT_EQ(hex(tests::value_of(pbkdf2(HashName::Sha256, "passwd", "salt", 1, 64, kNever))),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b"
            "1e30bd50911"
            "2041d3a19783");
}

TEST(CryptoHash, WhatTakesLongCanBeStopped) {
  int looks = 0;
  const Stop stop = [&looks] { return ++looks == 3; };
  EXPECT_FALSE(pbkdf2(HashName::Sha256, "password", "salt", 1'000'000'000, 32, stop));
  EXPECT_EQ(looks, 3);
  looks = 0;
  EXPECT_FALSE(pbkdf2(HashName::Sha256, "password", "salt", 1, 1U << 30, stop)) << "many blocks of one round";
  looks = 0;
  EXPECT_FALSE(digest(HashName::Sha256, std::string(1U << 20, 'a'), stop));
}

TEST(CryptoHash, EqualInConstantTime) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace verge::workers
