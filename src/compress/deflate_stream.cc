#include "compress/deflate_stream.h"

#include <algorithm>
#include <limits>

#include <zlib.h>

namespace verge::compress {
namespace {

constexpr int kLevel = 6;
constexpr int kMemoryLevel = 8;

int window_bits(DeflateFormat format) {
  switch (format) {
    case DeflateFormat::kGzip:
      return 15 + 16;
    case DeflateFormat::kZlib:
      return 15;
    case DeflateFormat::kRaw:
      return -15;
  }
  return 15;
}

// Gives zlib as much of both as it can count.
void lend(z_stream& stream, std::string_view input, std::span<char> room) {
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));  // it is only read
  stream.avail_in = static_cast<uInt>(std::min(input.size(), kMost));
  stream.next_out = reinterpret_cast<Bytef*>(room.data());
  stream.avail_out = static_cast<uInt>(std::min(room.size(), kMost));
}

size_t taken_of(const z_stream& stream, std::string_view input) {
  return static_cast<size_t>(reinterpret_cast<const char*>(stream.next_in) - input.data());
}

class Compressor final : public DeflateStream {
 public:
  ~Compressor() override { deflateEnd(&stream_); }
  bool begin(DeflateFormat format) {
    return deflateInit2(&stream_, kLevel, Z_DEFLATED, window_bits(format), kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  Outcome step(std::string_view& input, bool last, std::span<char> room, size_t& made) override {
    lend(stream_, input, room);
    const int outcome = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
    if (!input.empty()) input.remove_prefix(taken_of(stream_, input));
    made = room.size() - stream_.avail_out;
    if (outcome == Z_STREAM_END) return Outcome::kEnded;
    return stream_.avail_out == 0 || !input.empty() ? Outcome::kOutputFull : Outcome::kInputTaken;
  }
  [[nodiscard]] size_t memory_bytes() const override { return 270U << 10; }

 private:
  z_stream stream_{};
};

class Decompressor final : public DeflateStream {
 public:
  ~Decompressor() override { inflateEnd(&stream_); }
  bool begin(DeflateFormat format) { return inflateInit2(&stream_, window_bits(format)) == Z_OK; }
  Outcome step(std::string_view& input, bool last, std::span<char> room, size_t& made) override {
    made = 0;
    if (ended_) return input.empty() ? Outcome::kEnded : Outcome::kDamaged;
    lend(stream_, input, room);
    const int outcome = inflate(&stream_, Z_NO_FLUSH);
    if (!input.empty()) input.remove_prefix(taken_of(stream_, input));
    made = room.size() - stream_.avail_out;
    if (outcome == Z_STREAM_END) {
      ended_ = true;
      return input.empty() ? Outcome::kEnded : Outcome::kDamaged;
    }
    if (outcome != Z_OK && outcome != Z_BUF_ERROR) return Outcome::kDamaged;
    if (stream_.avail_out == 0) return Outcome::kOutputFull;
    return last ? Outcome::kDamaged : Outcome::kInputTaken;
  }
  [[nodiscard]] size_t memory_bytes() const override { return 45U << 10; }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

template <class Stream>
std::unique_ptr<DeflateStream> begun(DeflateFormat format) {
  auto stream = std::make_unique<Stream>();
  if (!stream->begin(format)) return nullptr;
  return stream;
}

}  // namespace

std::unique_ptr<DeflateStream> DeflateStream::compressor(DeflateFormat format) { return begun<Compressor>(format); }
std::unique_ptr<DeflateStream> DeflateStream::decompressor(DeflateFormat format) { return begun<Decompressor>(format); }

}  // namespace verge::compress
