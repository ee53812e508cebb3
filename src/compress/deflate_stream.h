// DEFLATE (RFC 1951) by itself, as zlib (RFC 1950) or as gzip (RFC 1952), in either direction, in steps whose output is
// bounded: however much a few bytes stand for, a step makes no more than it has room for.
//
// One stream, and nothing behind it: what follows its end is an error, as in the Compression Standard.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace verge::compress {

enum class DeflateFormat : uint8_t { kGzip, kZlib, kRaw };

class DeflateStream {
 public:
  enum class Outcome : uint8_t {
    kOutputFull,  // there may be more: call again
    kInputTaken,  // all of it
    kEnded,       // the stream is complete
    kDamaged,     // it is no such stream, ends too early, or is followed by something
  };

  // Null where there is not enough memory: compressing takes 270 KB, decompressing 45 KB.
  static std::unique_ptr<DeflateStream> compressor(DeflateFormat format);
  static std::unique_ptr<DeflateStream> decompressor(DeflateFormat format);

  virtual ~DeflateStream() = default;
  // Takes of `input`, which is made shorter, and writes to the front of `room`; `made` bytes. `last`: nothing follows.
  virtual Outcome step(std::string_view& input, bool last, std::span<char> room, size_t& made) = 0;
  [[nodiscard]] virtual size_t memory_bytes() const = 0;
};

}  // namespace verge::compress
