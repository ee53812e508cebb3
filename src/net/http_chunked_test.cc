#include "net/http_chunked.h"

#include <gtest/gtest.h>

namespace verge::net {
namespace {

// "body|rest" or the reason of the refusal; fed in pieces of `step` bytes.
std::string decoded(std::string_view bytes, size_t step) {
  ChunkedDecoder decoder;
  std::string body;
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view input = bytes.substr(at, step);
    const ChunkedDecoder::Step result = decoder.next(input);
    at += result.consumed;
    body.append(result.piece);
    if (result.progress == ChunkedDecoder::Progress::kDone) return body + "|" + std::string(bytes.substr(at));
    if (result.progress == ChunkedDecoder::Progress::kRefused) return std::string(decoder.fault().reason);
    if (result.progress == ChunkedDecoder::Progress::kNeedMore) EXPECT_EQ(result.consumed, input.size());
  }
  return body + "...";
}

std::string decoded(std::string_view bytes) {
  const std::string whole = decoded(bytes, bytes.size());
  EXPECT_EQ(whole, decoded(bytes, 1)) << bytes;
  EXPECT_EQ(whole, decoded(bytes, 3)) << bytes;
  return whole;
}

TEST(ChunkedDecoder, HandsOutTheBody) {
  EXPECT_EQ(decoded("0\r\n\r\nGET"), "|GET");
  EXPECT_EQ(decoded("5\r\nhello\r\nA\r\n, everyone\r\n0\r\n\r\n"), "hello, everyone|");
  EXPECT_EQ(decoded("05;a=b;c=\"d e\"\r\nhello\r\n000\r\n\r\n"), "hello|");
  EXPECT_EQ(decoded("1\r\nx\r\n0\r\nDigest: abc\r\nX-Y:\r\n\r\nrest"), "x|rest");
  EXPECT_EQ(decoded("5\r\nhel"), "hel...");
}

TEST(ChunkedDecoder, KeepsTrailersWhereAsked) {
  const std::string_view bytes = "1\r\nx\r\n0\r\nDigest:\t abc \r\nX-Y:\r\n\r\nrest";
  for (const size_t step : {bytes.size(), size_t{1}}) {
    ChunkedDecoder decoder(true);
    size_t at = 0;
    while (true) {
      const ChunkedDecoder::Step result = decoder.next(bytes.substr(at, step));
      at += result.consumed;
      if (result.progress == ChunkedDecoder::Progress::kDone) break;
    }
    const std::string section = decoder.take_trailers();
    const std::vector<HttpField> fields = trailer_fields(section);
    ASSERT_EQ(fields.size(), 2U);
    EXPECT_EQ(fields[0].name, "Digest");
    EXPECT_EQ(fields[0].value, "abc");
    EXPECT_EQ(fields[1].name, "X-Y");
    EXPECT_EQ(fields[1].value, "");
    decoder.reset();
    EXPECT_EQ(decoder.next("0\r\n\r\n").progress, ChunkedDecoder::Progress::kDone);
    EXPECT_TRUE(trailer_fields(decoder.take_trailers()).empty());
  }
  EXPECT_TRUE(trailer_fields("").empty());
}

TEST(ChunkedDecoder, RefusesWhatOthersMightReadDifferently) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"\r\n", "a chunk size is not a hexadecimal number"},
      {"-1\r\n", "a chunk size is not a hexadecimal number"},
      {"0x1\r\nx\r\n", "a chunk size is not a hexadecimal number"},
      {" 1\r\nx\r\n", "a chunk size is not a hexadecimal number"},
      {"1 \r\nx\r\n", "a chunk size is not a hexadecimal number"},
      {"1\nx\r\n", "a chunk size is not a hexadecimal number"},
      {"1\rx", "a chunk size does not end in CR LF"},
      {"1;a\nx", "a chunk extension has a control character"},
      {"1\r\nxy\r\n", "a chunk is longer than its size"},
      {"1\r\nx\n0\r\n", "a chunk is longer than its size"},
      {"1\r\nx\rz", "a chunk does not end in CR LF"},
      {"10000000000000000\r\n", "a chunk size is too large"},
      {"ffffffffffffffff\r\n", "a chunk size is too large"},
      {"0000000000000001\r\n", "a chunk size is too large"},
      {"1;" + std::string(5000, 'a'), "the chunk extensions are too long"},
      {"0\r\nA: " + std::string(9000, 'a'), "the trailer fields are too long"},
      {"0\r\n A: b\r\n", "a trailer field name is not a token"},
      {"0\r\nA : b\r\n", "a trailer field name is not a token"},
      {"0\r\nA: b\nC: d\r\n", "a trailer field value has a control character"},
      {"0\r\nA: b\rx", "a trailer field does not end in CR LF"},
      {"0\r\n\rx", "the body does not end in CR LF"},
  };
  for (const auto& [bytes, reason] : cases) EXPECT_EQ(decoded(bytes), reason) << bytes;
}

TEST(ChunkedDecoder, BoundsTheExtensionsOfAllChunksTogether) {
  std::string bytes;
  for (int i = 0; i < 60; ++i) bytes += "1;" + std::string(99, 'e') + "\r\nx\r\n";
  EXPECT_EQ(decoded(bytes), "the chunk extensions are too long");
}

TEST(ChunkedDecoder, SizesAreWrittenAsTheyAreRead) {
  std::string out;
  append_chunk_size(out, 0x1a2b);
  EXPECT_EQ(out, "1a2b\r\n");
}

}  // namespace
}  // namespace verge::net
