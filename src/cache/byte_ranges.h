// Byte ranges (RFC 9110 section 14): what a Range field asks for, and what a Content-Range field says is there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::cache {

// First and last byte, both inclusive, as the fields write them.
struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;
  bool operator==(const ByteRange&) const = default;
  [[nodiscard]] uint64_t size() const { return last - first + 1; }
};

// As it was asked: "5-9", "5-" or "-5".
struct RangeSpec {
  std::optional<uint64_t> first;
  std::optional<uint64_t> last;  // with no first: how many of the last bytes
  bool operator==(const RangeSpec&) const = default;
};

// So many ranges of one request are answered; more are likely an attack (section 14.2) and the field is passed over.
inline constexpr size_t kRangesMax = 16;

// Nothing where the field is not "bytes=" with well-formed members, or asks for more than kRangesMax: it is ignored.
std::optional<std::vector<RangeSpec>> parse_range(std::string_view text);

// Less than what it costs to begin another part.
inline constexpr uint64_t kRangeGapMin = 80;

// Those of the ranges that `length` bytes can satisfy, cut to them, in the order in which they were asked for; none:
// 416. Those that overlap, or have less than kRangeGapMin between them, are made one, in the place of the first:
// however they overlap, no byte is sent twice.
std::vector<ByteRange> satisfiable(const std::vector<RangeSpec>& specs, uint64_t length);
// From the first byte of any to the last; not of none.
ByteRange hull_of(std::span<const ByteRange> ranges);

struct ContentRange {
  ByteRange range;
  std::optional<uint64_t> length;  // of the whole; none: "*"
  bool operator==(const ContentRange&) const = default;
};
// "bytes 4-9/10" and "bytes 4-9/*"; nothing for all else, "bytes */10" included.
std::optional<ContentRange> parse_content_range(std::string_view text);
std::string content_range(const ByteRange& range, uint64_t length);

}  // namespace verge::cache
