// Streams in both directions, in steps of all sizes; what is damaged, cut off or followed by something.
#include "compress/deflate_stream.h"

#include <array>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace verge::compress {
namespace {

using Outcome = DeflateStream::Outcome;

struct Result {
  Outcome outcome = Outcome::kInputTaken;
  std::string bytes;
};

// `input`, in pieces of `piece` bytes, with room for `room` bytes a step.
Result run(DeflateStream& stream, std::string_view input, size_t piece, size_t room) {
  Result result;
  std::string space(room, '\0');
  while (true) {
    std::string_view part = input.substr(0, piece);
    input.remove_prefix(part.size());
    const bool last = input.empty();
    do {
      size_t made = 0;
      result.outcome = stream.step(part, last, space, made);
      EXPECT_LE(made, room);
      result.bytes.append(space, 0, made);
    } while (result.outcome == Outcome::kOutputFull);
    if (result.outcome == Outcome::kDamaged || last) return result;
  }
}

std::string text_of(size_t bytes) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < bytes) text += "word" + std::to_string(random() % 500) + " ";
  text.resize(bytes);
  return text;
}

TEST(DeflateStream, WhatIsCompressedComesBackInPiecesOfAnySize) {
  for (const DeflateFormat format : {DeflateFormat::kGzip, DeflateFormat::kZlib, DeflateFormat::kRaw}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{200'000}}) {
      const std::string text = text_of(size);
      const Result coded = run(*DeflateStream::compressor(format), text, 777, 100);
      ASSERT_EQ(coded.outcome, Outcome::kEnded);
      for (const size_t piece : {size_t{1}, size_t{13}, size_t{1'000'000}}) {
        const Result plain = run(*DeflateStream::decompressor(format), coded.bytes, piece, 333);
        EXPECT_EQ(plain.outcome, Outcome::kEnded) << size << " in pieces of " << piece;
        EXPECT_TRUE(plain.bytes == text);
      }
    }
  }
}

TEST(DeflateStream, WhatIsCutOffFollowedOrChangedIsDamaged) {
  for (const DeflateFormat format : {DeflateFormat::kGzip, DeflateFormat::kZlib, DeflateFormat::kRaw}) {
    const std::string coded = run(*DeflateStream::compressor(format), text_of(3000), 100'000, 4096).bytes;
    for (size_t length = 0; length < coded.size(); ++length) {
      EXPECT_EQ(run(*DeflateStream::decompressor(format), coded.substr(0, length), 64, 4096).outcome,
                Outcome::kDamaged);
    }
    for (const size_t piece : {size_t{1}, size_t{100'000}}) {
      EXPECT_EQ(run(*DeflateStream::decompressor(format), coded + "x", piece, 4096).outcome, Outcome::kDamaged);
    }
    if (format == DeflateFormat::kRaw) continue;  // it has no checksum
    std::string changed = coded;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    EXPECT_EQ(run(*DeflateStream::decompressor(format), changed, 64, 4096).outcome, Outcome::kDamaged);
  }
}

TEST(DeflateStream, AFewBytesThatStandForManyAreToldInSteps) {
  std::string zeros;
  zeros.resize(20'000'000);
  const std::string coded = run(*DeflateStream::compressor(DeflateFormat::kGzip), zeros, zeros.size(), 65'536).bytes;
  ASSERT_LT(coded.size(), 30'000U);
  const auto stream = DeflateStream::decompressor(DeflateFormat::kGzip);
  std::string_view input = coded;
  std::array<char, 1000> room;
  size_t made = 0;
  EXPECT_EQ(stream->step(input, true, room, made), Outcome::kOutputFull);
  EXPECT_EQ(made, room.size());
  EXPECT_GT(input.size(), coded.size() - 4096) << "input is not read ahead";
}

}  // namespace
}  // namespace verge::compress
