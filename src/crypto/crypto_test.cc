// Known answers, published by others, and what must not be accepted.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "crypto/aes_gcm.h"
#include "crypto/hkdf.h"
#include "crypto/key.h"
#include "tests/support/value_of.h"

namespace verge::crypto {
namespace {

using Use = Aes256Gcm::Use;

struct GcmCase {
  const char* key;
  const char* nonce;
  const char* associated;
  const char* plain;
  const char* sealed;
  const char* tag;
};

constexpr const char* kZeroKey = "0000000000000000000000000000000000000000000000000000000000000000";
constexpr const char* kKey = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";

// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test cases 13 to 16.
constexpr GcmCase kGcmCases[] = {{kZeroKey, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
                                 {kZeroKey, "000000000000000000000000", "", "00000000000000000000000000000000",
                                  "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
                                 {kKey, "cafebabefacedbaddecaf888", "",
                                  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
                                  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
                                  "b094dac5d93471bdec1a502270e3cc6c"},
                                 {kKey, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                                  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                                  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
                                  "76fc6ece0f4e1768cddf8853bb2d551b"}};

TEST(Aes256Gcm, KnownAnswers) {
  for (const GcmCase& known : kGcmCases) {
    const Key key = tests::value_of(Key::parse(known.key));
    std::string text = from_hex(known.plain);
    std::string tag(Aes256Gcm::kTagBytes, '\0');
    Result<Aes256Gcm> sealing = Aes256Gcm::create(key, Use::kSeal);
    ASSERT_TRUE(sealing.has_value());
    const std::span<char, Aes256Gcm::kTagBytes> tag_place(tag.data(), tag.size());
    // A second text under the same context has the same answer: nothing of the first is left in it.
    for (int again = 0; again < 2; ++again) {
      text = from_hex(known.plain);
      ASSERT_TRUE(sealing->seal(from_hex(known.nonce), from_hex(known.associated), text, tag_place));
      EXPECT_EQ(to_hex(text), known.sealed);
      EXPECT_EQ(to_hex(tag), known.tag);
    }
    Result<Aes256Gcm> opening = Aes256Gcm::create(key, Use::kOpen);
    ASSERT_TRUE(opening.has_value());
    ASSERT_TRUE(opening->open(from_hex(known.nonce), from_hex(known.associated), text, tag));
    EXPECT_EQ(to_hex(text), known.plain);
  }
}

TEST(Aes256Gcm, EveryChangeIsNoticed) {
  const Key key = Key::generate();
  const std::string nonce(Aes256Gcm::kNonceBytes, 'n');
  const std::string associated = "header";
  std::string sealed = "what must stay secret";
  std::string tag(Aes256Gcm::kTagBytes, '\0');
  Result<Aes256Gcm> sealing = Aes256Gcm::create(key, Use::kSeal);
  ASSERT_TRUE(sealing.has_value());
  ASSERT_TRUE(sealing->seal(nonce, associated, sealed, std::span<char, Aes256Gcm::kTagBytes>(tag.data(), tag.size())));
  Result<Aes256Gcm> opening = Aes256Gcm::create(key, Use::kOpen);
  ASSERT_TRUE(opening.has_value());
  const auto opens = [&](std::string nonce_given, std::string associated_given, std::string text,
                         std::string tag_given) {
    return opening->open(nonce_given, associated_given, text, tag_given);
  };
  EXPECT_TRUE(opens(nonce, associated, sealed, tag));
  const auto flipped = [](std::string bytes, size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    return bytes;
  };
  for (size_t bit = 0; bit < nonce.size() * 8; ++bit) EXPECT_FALSE(opens(flipped(nonce, bit), associated, sealed, tag));
  for (size_t bit = 0; bit < associated.size() * 8; ++bit)
    EXPECT_FALSE(opens(nonce, flipped(associated, bit), sealed, tag));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit)
    EXPECT_FALSE(opens(nonce, associated, flipped(sealed, bit), tag));
  for (size_t bit = 0; bit < tag.size() * 8; ++bit) EXPECT_FALSE(opens(nonce, associated, sealed, flipped(tag, bit)));
  EXPECT_TRUE(opens(nonce, associated, sealed, tag)) << "a refusal does not spoil what follows";
  opening = Aes256Gcm::create(Key::generate(), Use::kOpen);
  ASSERT_TRUE(opening.has_value());
  EXPECT_FALSE(opens(nonce, associated, sealed, tag)) << "another key";
}

std::string rising(uint8_t from, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(from + i));
  return bytes;
}

// RFC 5869, appendix A.1 to A.3.
TEST(Hkdf, KnownAnswers) {
  const auto derived = [](const std::string& secret, const std::string& salt, const std::string& info, size_t bytes) {
    std::string out(bytes, '\0');
    EXPECT_TRUE(hkdf_sha256(secret, salt, info, out));
    return to_hex(out);
  };
  EXPECT_EQ(derived(std::string(22, '\x0b'), rising(0, 13), rising(0xf0, 10), 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(derived(rising(0, 80), rising(0x60, 80), rising(0xb0, 80), 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(derived(std::string(22, '\x0b'), "", "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Key, Text) {
  const Key key = Key::generate();
  EXPECT_FALSE(key == Key::generate());
  EXPECT_EQ(key.text().size(), 64U);
  EXPECT_TRUE(tests::value_of(Key::parse(key.text())) == key);
  EXPECT_FALSE(Key::parse("").has_value());
  EXPECT_FALSE(Key::parse(key.text().substr(2)).has_value());
  EXPECT_FALSE(Key::parse(key.text() + "00").has_value());
  EXPECT_FALSE(Key::parse("g" + key.text().substr(1)).has_value());
}

}  // namespace
}  // namespace verge::crypto
