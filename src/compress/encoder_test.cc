#include "compress/encoder.h"

#include <array>

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "compress/zstd_frame.h"

namespace verge::compress {
namespace {

constexpr size_t kMost = 4U << 20;

// What any client would read, by the libraries' own decoders; as far as `coded` goes.
std::string decoded(ContentCoding coding, std::string_view coded) {
  std::string out(kMost, '\0');
  size_t size = 0;
  const auto* input = reinterpret_cast<const uint8_t*>(coded.data());
  auto* output = reinterpret_cast<uint8_t*>(out.data());
  switch (coding) {
    case ContentCoding::kBrotli: {
      BrotliDecoderState* state = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
      size_t in = coded.size(), room = out.size();
      EXPECT_NE(BrotliDecoderDecompressStream(state, &in, &input, &room, &output, &size), BROTLI_DECODER_RESULT_ERROR);
      BrotliDecoderDestroyInstance(state);
      break;
    }
    case ContentCoding::kZstd: {
      ZSTD_DCtx* context = ZSTD_createDCtx();
      ZSTD_inBuffer in{.src = coded.data(), .size = coded.size(), .pos = 0};
      ZSTD_outBuffer to{.dst = out.data(), .size = out.size(), .pos = 0};
      while (in.pos < in.size && ZSTD_isError(ZSTD_decompressStream(context, &to, &in)) == 0) {
      }
      EXPECT_EQ(in.pos, in.size);
      size = to.pos;
      ZSTD_freeDCtx(context);
      break;
    }
    case ContentCoding::kGzip: {
      z_stream stream{};
      EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
      stream.next_in = const_cast<Bytef*>(input);
      stream.avail_in = static_cast<uInt>(coded.size());
      stream.next_out = output;
      stream.avail_out = static_cast<uInt>(out.size());
      const int result = inflate(&stream, Z_SYNC_FLUSH);
      EXPECT_TRUE(result == Z_OK || result == Z_STREAM_END);
      size = stream.total_out;
      inflateEnd(&stream);
      break;
    }
  }
  out.resize(size);
  return out;
}

std::string text_of(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text.append("line ").append(std::to_string(i * 7919)).append(" of it\n");
  text.resize(size);
  return text;
}

class EncoderTest : public testing::TestWithParam<ContentCoding> {};

TEST_P(EncoderTest, WhatComesOutIsReadByTheLibraryOfTheCoding) {
  for (const size_t size : {0U, 1U, 100U, 5000U, 300'000U}) {
    const std::string text = text_of(size);
    for (const std::optional<uint64_t> length : {std::optional<uint64_t>(size), std::optional<uint64_t>()}) {
      const std::unique_ptr<Encoder> encoder = Encoder::make(GetParam(), length);
      std::string out;
      for (size_t at = 0; at < size; at += 777) encoder->write(std::string_view(text).substr(at, 777), out);
      encoder->finish(out);
      EXPECT_EQ(decoded(GetParam(), out), text);
      if (size > 1000) EXPECT_LT(out.size(), size / 2);
    }
  }
}

TEST_P(EncoderTest, WhatWasFlushedIsReadAtOnce) {
  const std::unique_ptr<Encoder> encoder = Encoder::make(GetParam(), std::nullopt);
  std::string out;
  encoder->write("data: 1\n\n", out);
  encoder->flush(out);
  EXPECT_EQ(decoded(GetParam(), out), "data: 1\n\n");
  encoder->write("data: 2\n\n", out);
  encoder->flush(out);
  EXPECT_EQ(decoded(GetParam(), out), "data: 1\n\ndata: 2\n\n");
}

INSTANTIATE_TEST_SUITE_P(All, EncoderTest,
                         testing::Values(ContentCoding::kBrotli, ContentCoding::kZstd, ContentCoding::kGzip),
                         [](const auto& coding) { return std::string(name_of(coding.param)); });

TEST(ContentCodingTest, HasItsNameInHttp) {
  EXPECT_EQ(content_coding("br"), ContentCoding::kBrotli);
  EXPECT_EQ(content_coding("zstd"), ContentCoding::kZstd);
  EXPECT_EQ(content_coding("gzip"), ContentCoding::kGzip);
  EXPECT_EQ(content_coding("deflate"), std::nullopt);
}

TEST(ZstdFrameTest, IsTakenApartOnlyIfItHoldsWhatItStates) {
  const std::string text = text_of(10'000), frame = zstd_frame(text, 3);
  EXPECT_EQ(zstd_stated_bytes(frame), text.size());
  EXPECT_EQ(zstd_content(frame), text);
  EXPECT_EQ(zstd_content(std::string_view(frame).substr(0, frame.size() / 2)), std::nullopt);
  EXPECT_EQ(zstd_content("not a frame"), std::nullopt);
  EXPECT_EQ(zstd_stated_bytes(""), std::nullopt);
}

}  // namespace
}  // namespace verge::compress
