// Encoder: one stream of bytes in one of the content codings of HTTP (RFC 9110 section 8.4.1), made as the bytes come.
//
// Levels are those at which text gets nearly as small as it can at a cost that a server has: Brotli (RFC 7932) 5, zstd
// (RFC 8878; within the window of RFC 9659) 6, gzip (RFC 1952) 6; some 30 to 150 MB a second.
// An encoder holds up to some MiB. Compressing does not fail: what the libraries could fail at (memory, wrong calls)
// ends the process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace verge::compress {

enum class ContentCoding : uint8_t { kBrotli, kZstd, kGzip };
inline constexpr size_t kContentCodings = 3;

// As HTTP names it: "br", "zstd", "gzip".
std::string_view name_of(ContentCoding coding);
std::optional<ContentCoding> content_coding(std::string_view name);

class Encoder {
 public:
  // `length`: of all that will be written, where it is known; small ones take less memory.
  static std::unique_ptr<Encoder> make(ContentCoding coding, std::optional<uint64_t> length);

  virtual ~Encoder() = default;
  // Each appends to `out` what there is of the coded bytes.
  virtual void write(std::string_view bytes, std::string& out) = 0;
  // All that was written can be decoded from what was appended. Costs some of the ratio.
  virtual void flush(std::string& out) = 0;
  // Last.
  virtual void finish(std::string& out) = 0;
};

}  // namespace verge::compress
