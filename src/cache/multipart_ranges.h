// Several ranges of one answer as multipart/byteranges (RFC 9110 section 14.6): what is written before each, and behind
// the last.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cache/byte_ranges.h"
#include "cache/delivery.h"

namespace verge::cache {

struct MultipartRanges {
  std::string content_type;  // of the answer; that of the content stands in each part
  uint64_t bytes = 0;        // of the answer's body
  Delivery::Plan plan;
};

// `ranges`: as satisfiable() gives them, two at least, of content of `length` bytes and type `content_type` (empty:
// unknown), of which the body has what follows `body_first`. `boundary`: not to be guessed, so that content cannot be
// made to contain it.
MultipartRanges multipart_ranges(std::span<const ByteRange> ranges, uint64_t length, uint64_t body_first,
                                 std::string_view content_type, std::string_view boundary);
// A new one each time.
std::string multipart_boundary();

}  // namespace verge::cache
