#include "base/bytes.h"

#include <gtest/gtest.h>

#include "base/payload.h"

namespace verge {
namespace {

TEST(Bytes, VarintsRoundTrip) {
  for (const uint64_t value : {0ULL, 1ULL, 127ULL, 128ULL, 300ULL, 1ULL << 35, ~0ULL}) {
    std::string out;
    append_varint(out, value);
    ByteReader reader(out);
    EXPECT_EQ(reader.varint(), value);
    EXPECT_TRUE(reader.ok() && reader.empty());
  }
}

TEST(Bytes, ReadingPastTheEndFailsForGood) {
  ByteReader reader(
      std::string_view("\x05"
                       "ab",
                       3));
  EXPECT_EQ(reader.sized(), "");
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.fixed<uint32_t>(), 0U);
}

TEST(Bytes, OverlongVarintIsRefused) {
  ByteReader reader(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  reader.varint();
  EXPECT_FALSE(reader.ok());
}

TEST(Bytes, HexRoundTrips) {
  EXPECT_EQ(to_hex(std::string_view("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_EQ(from_hex("00FF1a"), std::string("\x00\xff\x1a", 3));
  EXPECT_EQ(from_hex("0"), "");
  EXPECT_EQ(from_hex("zz"), "");
}

TEST(Payload, SharesOneBlockAndIsPadded) {
  const Payload first("hello ", "world");
  Payload second;
  second = first;
  EXPECT_EQ(second.view(), "hello world");
  EXPECT_EQ(second.view().data(), first.view().data());
  for (size_t i = 0; i < Payload::kPadding; ++i) EXPECT_EQ(first.view().data()[first.size() + i], '\0');
}

}  // namespace
}  // namespace verge
