// The chunked transfer coding, incrementally (RFC 9112 section 7.1). Strict: sizes are hexadecimal digits and nothing
// else, lines end in CR LF, extensions and trailer fields are bounded over the whole body, checked for form and
// skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http_codec.h"

namespace verge::net {

class ChunkedDecoder {
 public:
  // Over all chunks of a body.
  static constexpr size_t kExtensionBytesMax = 4096;
  static constexpr size_t kTrailerBytesMax = 8192;

  enum class Progress { kNeedMore, kPiece, kDone, kRefused };
  struct Step {
    Progress progress;
    size_t consumed;         // bytes of the input
    std::string_view piece;  // of the body, within the input; with kPiece only
  };

  // Takes what it can from the front of `input`. Call again with what follows `consumed` until kNeedMore (all was
  // consumed), kDone (what follows is another message) or kRefused.
  Step next(std::string_view input);
  [[nodiscard]] const HttpFault& fault() const { return fault_; }
  void reset() { *this = ChunkedDecoder(); }

 private:
  enum class State {
    kSize,
    kExtension,
    kSizeLf,
    kBody,
    kBodyCr,
    kBodyLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kDone,
    kRefused
  };

  bool take(char c);
  bool take_size(char c);
  bool take_trailer(char c);
  bool refuse(std::string_view reason);

  State state_ = State::kSize;
  uint64_t left_ = 0;  // of the chunk
  int size_digits_ = 0;
  size_t extension_bytes_ = 0;
  size_t trailer_bytes_ = 0;
  HttpFault fault_;
};

// "1a\r\n", the line before a chunk of that many bytes; a chunk is followed by "\r\n".
void append_chunk_size(std::string& out, size_t size);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace verge::net
