// Text against slower readings of the standards.
#include "workers/realm_text.h"

#include <random>

#include <gtest/gtest.h>

#include "workers/realm_code_cache.h"

namespace verge::workers {
namespace {

std::string random_bytes(std::mt19937& random, std::size_t size) {
  // Mostly ASCII, with the bytes that make sequences and break them.
  static constexpr std::uint8_t kOdd[] = {0x80, 0xBF, 0xC1, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xA0, 0x9F};
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random() % 3 == 0 ? kOdd[random() % std::size(kOdd)] : random() % 128);
  }
  return bytes;
}

// By code points, from the definition: no overlong form, no surrogate, none beyond U+10FFFF.
bool is_utf8_slowly(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto lead = static_cast<std::uint8_t>(bytes[at++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : -1;
    if (more < 0 || lead >= 0xF8) return false;
    std::uint32_t point = lead & (0x3F >> more);
    for (int index = 0; index < more; ++index) {
      if (at == bytes.size()) return false;
      const auto next = static_cast<std::uint8_t>(bytes[at++]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3F);
    }
    constexpr std::uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLeast[more] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
  }
  return true;
}

TEST(RealmText, Utf8IsWhatTheDefinitionSays) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  int valid = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::string bytes = random_bytes(random, random() % 6);
    ASSERT_EQ(is_utf8(bytes), is_utf8_slowly(bytes)) << "seed " << seed;
    valid += is_utf8(bytes) ? 1 : 0;
  }
  EXPECT_GT(valid, 1000);
  EXPECT_TRUE(is_utf8("a\xF0\x9F\x8C\x9F") && is_utf8(std::string(100, 'x') + "\xE2\x98\x85"));
}

TEST(RealmText, AsciiIsFoundAtEveryPlace) {
  for (std::size_t size = 0; size < 70; ++size) {
    std::string text(size, 'a');
    EXPECT_TRUE(is_ascii(text));
    for (std::size_t at = 0; at < size; ++at) {
      text[at] = '\x80';
      EXPECT_FALSE(is_ascii(text)) << at << " of " << size;
      text[at] = 'a';
    }
  }
}

TEST(RealmText, Base64GoesRoundAndForgives) {
  std::mt19937 random(7);
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string bytes = random_bytes(random, size);
    std::string back;
    ASSERT_TRUE(base64_decode(base64_encode(bytes), back));
    EXPECT_EQ(back, bytes);
  }
  std::string out;
  EXPECT_TRUE(base64_decode(" YW\nJj ", out));
  EXPECT_EQ(out, "abc");
  EXPECT_TRUE(base64_decode("YQ", out));
  EXPECT_EQ(out, "a");
  for (const char* wrong : {"Y", "YQ=", "Y===", "YQ==YQ==", "Y-", "YWJ\xC3"})
    EXPECT_FALSE(base64_decode(wrong, out)) << wrong;
}

TEST(RealmCodeCache, GivesBackWhatItHoldsAndNothingElse) {
  CodeCacheWriter writer;
  const std::uint8_t one[] = {1, 2, 3};
  const std::uint8_t two[] = {4};
  writer.add("a.js", 11, one);
  writer.add("b.js", 22, two);
  const std::vector<std::byte> bytes = writer.finish();
  const CodeCacheReader reader(bytes);
  EXPECT_EQ(reader.find("a.js", 11).size(), 3U);
  EXPECT_EQ(reader.find("b.js", 22)[0], std::byte{4});
  EXPECT_TRUE(reader.find("b.js", 11).empty());
  // Cut short, or with any byte changed, it never reads outside of itself.
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> damaged(bytes.begin(),
                                   bytes.begin() + static_cast<std::ptrdiff_t>(random() % (bytes.size() + 1)));
    for (int change = 0; change < 3 && !damaged.empty(); ++change) {
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    }
    const auto found = CodeCacheReader(damaged).find("a.js", 11);
    if (!found.empty()) {
      ASSERT_GE(found.data(), damaged.data());
      ASSERT_LE(found.data() + found.size(), damaged.data() + damaged.size());
    }
  }
}

}  // namespace
}  // namespace verge::workers
