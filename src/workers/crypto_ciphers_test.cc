// AES: what OpenSSL does not do by itself (long nonces, short counters), and what is refused.
#include "workers/crypto_ciphers.h"

#include <gtest/gtest.h>

namespace verge::workers {
namespace {

const Stop kNever = [] { return false; };
const std::string kKey(16, 'k');
const std::string kVector(16, '\0');

TEST(CryptoCiphers, GcmOfAnyNonceGivesBackWhatWasEncryptedOrNothing) {
  for (const std::size_t nonce_bytes : {1U, 12U, 16U, 128U, 129U, 257U}) {
    for (const std::size_t size : {0U, 1U, 16U, 100U}) {
      const std::string nonce(nonce_bytes, 'n');
      const std::string text(size, 't');
      auto sealed = aes_gcm(true, kKey, nonce, "beside", 128, text, kNever);
      ASSERT_TRUE(sealed);
      EXPECT_EQ(sealed->size(), size + 16);
      EXPECT_EQ(aes_gcm(false, kKey, nonce, "beside", 128, *sealed, kNever), text);
      EXPECT_FALSE(aes_gcm(false, kKey, nonce, "other", 128, *sealed, kNever));
      sealed->back() = static_cast<char>(sealed->back() ^ 1);
      EXPECT_FALSE(aes_gcm(false, kKey, nonce, "beside", 128, *sealed, kNever));
      EXPECT_FALSE(aes_gcm(false, kKey, nonce, "beside", 128, "short", kNever));
    }
  }
  EXPECT_FALSE(aes_gcm(true, kKey, "", "", 128, "", kNever));
}

// A counter that wraps goes on from zero, and the bits before it stay.
TEST(CryptoCiphers, ACounterOfFewBitsWraps) {
  std::string counter(16, '\x55');
  counter.back() = '\x5F';
  const std::string zeros(48, '\0');
  const auto four = aes_ctr(kKey, counter, 4, zeros, kNever);
  ASSERT_TRUE(four);
  std::string wrapped = counter;
  wrapped.back() = '\x50';
  const auto after = aes_ctr(kKey, wrapped, 128, std::string_view(zeros).substr(16), kNever);
  const auto before = aes_ctr(kKey, counter, 128, std::string_view(zeros).substr(0, 16), kNever);
  ASSERT_TRUE(after && before);
  EXPECT_EQ(*four, *before + *after);
  EXPECT_TRUE(aes_ctr(kKey, counter, 4, std::string(256, 'a'), kNever));
  EXPECT_FALSE(aes_ctr(kKey, counter, 4, std::string(257, 'a'), kNever)) << "a counter would come twice";
}

TEST(CryptoCiphers, CbcWantsWholeBlocksWithPadding) {
  const auto sealed = aes_cbc(true, kKey, kVector, "text", kNever);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(aes_cbc(false, kKey, kVector, *sealed, kNever), "text");
  EXPECT_FALSE(aes_cbc(false, kKey, kVector, "", kNever));
  EXPECT_FALSE(aes_cbc(false, kKey, kVector, sealed->substr(0, 15), kNever));
  EXPECT_FALSE(aes_cbc(true, std::string(15, 'k'), kVector, "text", kNever)) << "no size of a key";
}

TEST(CryptoCiphers, KeyWrapOfTheStandard) {
  const std::string key("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F", 16);
  const std::string text("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF", 16);
  const std::string wrapped(
      "\x1F\xA6\x8B\x0A\x81\x12\xB4\x47\xAE\xF3\x4B\xD8\xFB\x5A\x7B\x82\x9D\x3E\x86\x23\x71\xD2\xCF\xE5", 24);
  EXPECT_EQ(aes_kw(true, key, text), wrapped);
  EXPECT_EQ(aes_kw(false, key, wrapped), text);
  EXPECT_FALSE(aes_kw(false, kKey, wrapped));
  EXPECT_FALSE(aes_kw(true, key, "12345678"));
  EXPECT_FALSE(aes_kw(true, key, "12345678901234567"));
}

TEST(CryptoCiphers, WhatIsLongCanBeStopped) {
  const auto stopped = aes_gcm(true, kKey, "nonce", "", 128, std::string(1U << 20, 'a'), [] { return true; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error(), Fault::Stopped);
}

}  // namespace
}  // namespace verge::workers
