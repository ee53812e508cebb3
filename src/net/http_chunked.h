// The chunked transfer coding, incrementally (RFC 9112 section 7.1). Strict: sizes are hexadecimal digits and nothing
// else, lines end in CR LF, extensions and trailer fields are bounded over the whole body and checked for form.
// Extensions are skipped; so are trailer fields, unless they are asked for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

  explicit ChunkedDecoder(bool keeps_trailers = false) : keeps_trailers_(keeps_trailers) {}

  // Takes what it can from the front of `input`. Call again with what follows `consumed` until kNeedMore (all was
  // consumed), kDone (what follows is another message) or kRefused.
  Step next(std::string_view input);
  [[nodiscard]] const HttpFault& fault() const { return fault_; }
  void reset() { *this = ChunkedDecoder(keeps_trailers_); }
  // After kDone, where they are kept: the trailer section as it came, for trailer_fields().
  std::string take_trailers() { return std::exchange(trailers_, {}); }

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
  bool keeps_trailers_;
  std::string trailers_;
};

// The fields of a trailer section that a ChunkedDecoder gave; views into it.
std::vector<HttpField> trailer_fields(std::string_view section);

// "1a\r\n", the line before a chunk of that many bytes; a chunk is followed by "\r\n".
void append_chunk_size(std::string& out, size_t size);
// The last chunk with trailer fields behind it; without any where one of them could not be written. What says where the
// message ends has no place there and is left out (RFC 9110 section 6.5.1).
void append_last_chunk(std::string& out, std::span<const HttpField> trailers);

}  // namespace verge::net
