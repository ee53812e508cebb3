#include "compress/encoder.h"

#include <algorithm>
#include <array>
#include <bit>

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"

namespace verge::compress {
namespace {

constexpr int kBrotliQuality = 5;
constexpr int kZstdLevel = 6;  // its window is 2 MiB; RFC 9659 allows 8
constexpr int kGzipLevel = 6;
constexpr size_t kChunkBytes = 16U << 10;

class BrotliCoding final : public Encoder {
 public:
  explicit BrotliCoding(std::optional<uint64_t> length)
      : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    VERGE_ASSERT(state_ != nullptr);
    set(BROTLI_PARAM_QUALITY, kBrotliQuality);
    set(BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
    if (!length) return;
    const int log = std::bit_width(*length);
    set(BROTLI_PARAM_LGWIN, static_cast<uint32_t>(std::clamp(log, BROTLI_MIN_WINDOW_BITS, 22)));
    set(BROTLI_PARAM_SIZE_HINT, static_cast<uint32_t>(std::min<uint64_t>(*length, UINT32_MAX)));
  }
  ~BrotliCoding() override { BrotliEncoderDestroyInstance(state_); }
  BrotliCoding(const BrotliCoding&) = delete;
  BrotliCoding& operator=(const BrotliCoding&) = delete;

  void write(std::string_view bytes, std::string& out) override { run(BROTLI_OPERATION_PROCESS, bytes, out); }
  void flush(std::string& out) override { run(BROTLI_OPERATION_FLUSH, {}, out); }
  void finish(std::string& out) override { run(BROTLI_OPERATION_FINISH, {}, out); }

 private:
  void set(BrotliEncoderParameter parameter, uint32_t value) {
    VERGE_ASSERT(BrotliEncoderSetParameter(state_, parameter, value) == BROTLI_TRUE);
  }
  void run(BrotliEncoderOperation operation, std::string_view bytes, std::string& out) {
    size_t input_left = bytes.size();
    const auto* input = reinterpret_cast<const uint8_t*>(bytes.data());
    do {
      size_t no_room = 0;
      const bool done = BrotliEncoderCompressStream(state_, operation, &input_left, &input, &no_room, nullptr,
                                                    nullptr) == BROTLI_TRUE;
      VERGE_ASSERT(done);
      while (BrotliEncoderHasMoreOutput(state_) == BROTLI_TRUE) {
        size_t size = 0;
        const uint8_t* output = BrotliEncoderTakeOutput(state_, &size);
        out.append(reinterpret_cast<const char*>(output), size);
      }
    } while (input_left > 0 ||
             (operation == BROTLI_OPERATION_FINISH && BrotliEncoderIsFinished(state_) == BROTLI_FALSE));
  }

  BrotliEncoderState* state_;
};

class ZstdCoding final : public Encoder {
 public:
  explicit ZstdCoding(std::optional<uint64_t> length) : context_(ZSTD_createCCtx()) {
    VERGE_ASSERT(context_ != nullptr);
    set(ZSTD_c_compressionLevel, kZstdLevel);
    if (length) VERGE_ASSERT(ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context_, *length)) == 0);
  }
  ~ZstdCoding() override { ZSTD_freeCCtx(context_); }
  ZstdCoding(const ZstdCoding&) = delete;
  ZstdCoding& operator=(const ZstdCoding&) = delete;

  void write(std::string_view bytes, std::string& out) override { run(ZSTD_e_continue, bytes, out); }
  void flush(std::string& out) override { run(ZSTD_e_flush, {}, out); }
  void finish(std::string& out) override { run(ZSTD_e_end, {}, out); }

 private:
  void set(ZSTD_cParameter parameter, int value) {
    VERGE_ASSERT(ZSTD_isError(ZSTD_CCtx_setParameter(context_, parameter, value)) == 0);
  }
  void run(ZSTD_EndDirective directive, std::string_view bytes, std::string& out) {
    ZSTD_inBuffer input{.src = bytes.data(), .size = bytes.size(), .pos = 0};
    std::array<char, kChunkBytes> chunk;
    while (true) {
      ZSTD_outBuffer output{.dst = chunk.data(), .size = chunk.size(), .pos = 0};
      const size_t left = ZSTD_compressStream2(context_, &output, &input, directive);
      VERGE_ASSERT(ZSTD_isError(left) == 0);
      out.append(chunk.data(), output.pos);
      if (directive == ZSTD_e_continue ? input.pos == input.size : left == 0) return;
    }
  }

  ZSTD_CCtx* context_;
};

class GzipCoding final : public Encoder {
 public:
  explicit GzipCoding(std::optional<uint64_t> length) {
    constexpr int kGzip = 16;  // added to the window's bits
    const int bits = length ? std::clamp(static_cast<int>(std::bit_width(*length)), 9, 15) : 15;
    VERGE_ASSERT(deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, bits + kGzip, /*memLevel=*/8, Z_DEFAULT_STRATEGY) ==
                 Z_OK);
  }
  ~GzipCoding() override { deflateEnd(&stream_); }
  GzipCoding(const GzipCoding&) = delete;
  GzipCoding& operator=(const GzipCoding&) = delete;

  void write(std::string_view bytes, std::string& out) override { run(Z_NO_FLUSH, bytes, out); }
  void flush(std::string& out) override { run(Z_SYNC_FLUSH, {}, out); }
  void finish(std::string& out) override { run(Z_FINISH, {}, out); }

 private:
  void run(int flush, std::string_view bytes, std::string& out) {
    std::array<unsigned char, kChunkBytes> chunk;
    constexpr size_t kInputMax = 1U << 30;  // its sizes have 32 bits
    do {
      const std::string_view part = bytes.substr(0, kInputMax);
      bytes.remove_prefix(part.size());
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
      stream_.avail_in = static_cast<uInt>(part.size());
      do {
        stream_.next_out = chunk.data();
        stream_.avail_out = static_cast<uInt>(chunk.size());
        const int result = deflate(&stream_, flush);
        VERGE_ASSERT(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
        out.append(reinterpret_cast<const char*>(chunk.data()), chunk.size() - stream_.avail_out);
      } while (stream_.avail_out == 0);
    } while (!bytes.empty());
  }

  z_stream stream_{};
};

}  // namespace

std::string_view name_of(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kBrotli:
      return "br";
    case ContentCoding::kZstd:
      return "zstd";
    case ContentCoding::kGzip:
      return "gzip";
  }
  return {};
}

std::optional<ContentCoding> content_coding(std::string_view name) {
  for (const ContentCoding coding : {ContentCoding::kBrotli, ContentCoding::kZstd, ContentCoding::kGzip}) {
    if (name == name_of(coding)) return coding;
  }
  return std::nullopt;
}

std::unique_ptr<Encoder> Encoder::make(ContentCoding coding, std::optional<uint64_t> length) {
  switch (coding) {
    case ContentCoding::kBrotli:
      return std::make_unique<BrotliCoding>(length);
    case ContentCoding::kZstd:
      return std::make_unique<ZstdCoding>(length);
    case ContentCoding::kGzip:
      return std::make_unique<GzipCoding>(length);
  }
  return nullptr;
}

}  // namespace verge::compress
