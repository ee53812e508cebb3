#include "storage/frame_cipher.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "storage/frame.h"
#include "storage/segment_header.h"

namespace verge::storage {
namespace {

using Use = crypto::Aes256Gcm::Use;

// The cipher of a segment with that header.
crypto::Aes256Gcm cipher_of(const KeyRing& keys, const SegmentHeader& header, Use use) {
  Result<crypto::Aes256Gcm> cipher = keys.cipher(header.key, header.key_salt(), use);
  EXPECT_TRUE(cipher.has_value());
  return *std::move(cipher);
}

std::string frame_of(std::string_view body, uint64_t sequence) {
  std::string frame(kFrameHeaderBytes, '\0');
  frame.append(body);
  frame.resize(frame.size() + kFrameSealBytes, '\0');
  write_frame_header(frame, sequence, 1, 0, 1);
  return frame;
}

class FrameCipher : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(keys.replace({.writing = crypto::Key::generate(), .reading = {}}));
    header = {.first_sequence = 7, .salt = 1, .previous_end = 7, .key = keys.writing(), .more_salt = 2};
  }

  KeyRing keys;
  SegmentHeader header;
};

TEST_F(FrameCipher, WhatWasSealedOpensAtItsPlaceOnly) {
  FrameSealer sealer(cipher_of(keys, header, Use::kSeal));
  crypto::Aes256Gcm opening = cipher_of(keys, header, Use::kOpen);
  uint64_t offset = kSegmentHeaderBytes;
  for (const size_t size : {0U, 1U, 15U, 16U, 17U, 1000U, 1U << 20}) {
    const std::string body(size, 'b');
    std::string frame = frame_of(body, 7);
    ASSERT_TRUE(sealer.seal(offset, frame));
    if (size > 15) EXPECT_EQ(frame.find(std::string(16, 'b')), std::string::npos);
    std::string elsewhere = frame;
    EXPECT_FALSE(open_frame(opening, offset + kFrameAlignment, elsewhere).has_value());
    EXPECT_EQ(open_frame(opening, offset, frame), std::optional<std::string_view>(body));
    offset += frame_aligned(frame.size());
  }
}

TEST_F(FrameCipher, EveryFlippedBitIsNoticed) {
  FrameSealer sealer(cipher_of(keys, header, Use::kSeal));
  crypto::Aes256Gcm opening = cipher_of(keys, header, Use::kOpen);
  std::string frame = frame_of("a record", 7);
  ASSERT_TRUE(sealer.seal(kSegmentHeaderBytes, frame));
  write_frame_checksum(frame, header.salt);
  for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
    std::string changed = frame;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    const bool is_checksum = bit < sizeof(uint64_t) * 8;  // which has told before
    EXPECT_EQ(open_frame(opening, kSegmentHeaderBytes, changed).has_value(), is_checksum) << bit;
  }
  for (size_t size = 0; size < frame.size(); ++size) {
    std::string cut = frame.substr(0, size);
    EXPECT_FALSE(open_frame(opening, kSegmentHeaderBytes, cut).has_value()) << size;
  }
}

// The segment's header is not covered by the tag but by the key.
TEST_F(FrameCipher, AnotherHeaderIsAnotherKey) {
  std::string frame = frame_of("a record", 7);
  ASSERT_TRUE(FrameSealer(cipher_of(keys, header, Use::kSeal)).seal(kSegmentHeaderBytes, frame));
  const auto opens_with = [&](const SegmentHeader& other) {
    crypto::Aes256Gcm opening = cipher_of(keys, other, Use::kOpen);
    std::string copy = frame;
    return open_frame(opening, kSegmentHeaderBytes, copy).has_value();
  };
  EXPECT_TRUE(opens_with(header));
  for (uint64_t SegmentHeader::* const field : {&SegmentHeader::first_sequence, &SegmentHeader::salt,
                                                &SegmentHeader::previous_end, &SegmentHeader::more_salt}) {
    SegmentHeader other = header;
    ++(other.*field);
    EXPECT_FALSE(opens_with(other));
  }
}

// The same text, twice: nothing shows that it is the same.
TEST_F(FrameCipher, EqualTextsLookDifferent) {
  const auto sealed = [&](const SegmentHeader& of, uint64_t offset) {
    std::string frame = frame_of(std::string(100, 'x'), 7);
    EXPECT_TRUE(FrameSealer(cipher_of(keys, of, Use::kSeal)).seal(offset, frame));
    return frame.substr(kFrameHeaderBytes, 100);
  };
  SegmentHeader other = header;
  ++other.salt;
  EXPECT_NE(sealed(header, 64), sealed(header, 64)) << "even where a machine runs twice from one snapshot";
  EXPECT_NE(sealed(header, 64), sealed(other, 64));
}

TEST_F(FrameCipher, NoPlaceIsSealedTwice) {
  FrameSealer sealer(cipher_of(keys, header, Use::kSeal));
  std::string frame = frame_of("a record", 7);
  ASSERT_TRUE(sealer.seal(kSegmentHeaderBytes, frame));
  EXPECT_DEATH((void)sealer.seal(kSegmentHeaderBytes, frame), "sealed_end_");
}

TEST(KeyRing, KeysAndTheirNames) {
  const crypto::Key first = crypto::Key::generate();
  const crypto::Key second = crypto::Key::generate();
  const KeyId first_id = id_of(first).value_or(0);
  const KeyId second_id = id_of(second).value_or(0);
  ASSERT_NE(first_id, 0U);
  ASSERT_NE(first_id, second_id);
  EXPECT_EQ(id_of(first), first_id) << "of the key, and of nothing else";
  EXPECT_EQ(parse_key_id(key_id_text(first_id)), first_id);
  for (const char* text : {"", "0", "0000000000000000", "12345678", "123456789abcdefg", "123456789abcdef01"}) {
    EXPECT_FALSE(parse_key_id(text).has_value()) << text;
  }
  KeyRing ring;
  EXPECT_EQ(ring.writing(), 0U);
  EXPECT_EQ(ring.text(), "none");
  ASSERT_TRUE(ring.replace({.writing = second, .reading = {first}}));
  EXPECT_EQ(ring.writing(), second_id);
  EXPECT_TRUE(ring.has(first_id) && ring.has(second_id));
  ASSERT_TRUE(ring.replace({.writing = {}, .reading = {second}}));
  EXPECT_EQ(ring.writing(), 0U);
  const auto cipher = ring.cipher(first_id, "header", Use::kOpen);
  ASSERT_FALSE(cipher.has_value());
  EXPECT_EQ(cipher.error().code, "storage.key-missing");
  EXPECT_NE(cipher.error().what.find(key_id_text(first_id)), std::string::npos) << "names what is missing";
  EXPECT_NE(cipher.error().what.find(key_id_text(second_id)), std::string::npos) << "and what is there";
  EXPECT_EQ(cipher.error().line().find(second.text()), std::string::npos) << "and no key";
}

}  // namespace
}  // namespace verge::storage
