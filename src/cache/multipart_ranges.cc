#include "cache/multipart_ranges.h"

#include <fmt/format.h>

#include "base/random.h"

namespace verge::cache {

MultipartRanges multipart_ranges(std::span<const ByteRange> ranges, uint64_t length, uint64_t body_first,
                                 std::string_view content_type, std::string_view boundary) {
  MultipartRanges made;
  made.content_type = fmt::format("multipart/byteranges; boundary={}", boundary);
  made.plan.parts.clear();
  for (const ByteRange& range : ranges) {
    std::string head = fmt::format("\r\n--{}\r\n", boundary);
    if (!content_type.empty()) fmt::format_to(std::back_inserter(head), "Content-Type: {}\r\n", content_type);
    fmt::format_to(std::back_inserter(head), "Content-Range: {}\r\n\r\n", content_range(range, length));
    made.bytes += head.size() + range.size();
    made.plan.parts.push_back({.before = Payload(head), .first = range.first - body_first, .size = range.size()});
  }
  const std::string end = fmt::format("\r\n--{}--\r\n", boundary);
  made.bytes += end.size();
  made.plan.end = Payload(end);
  return made;
}

std::string multipart_boundary() { return fmt::format("verge-{:016x}{:016x}", system_seed(), system_seed()); }

}  // namespace verge::cache
