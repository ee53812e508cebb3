#include "cache/byte_ranges.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "net/http_message.h"

namespace verge::cache {
namespace {

// All of `text` as digits. A number that does not fit is read as the largest: it lies behind the end in any case.
std::optional<uint64_t> number(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc::result_out_of_range ? UINT64_MAX : value;
}

std::optional<RangeSpec> parse_spec(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, dash), after = text.substr(dash + 1);
  RangeSpec spec{.first = number(before), .last = number(after)};
  if (!before.empty() && !spec.first) return std::nullopt;
  if (!after.empty() && !spec.last) return std::nullopt;
  if (!spec.first && !spec.last) return std::nullopt;
  if (spec.first && spec.last && *spec.last < *spec.first) return std::nullopt;
  return spec;
}

}  // namespace

std::optional<std::vector<RangeSpec>> parse_range(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || !net::equals_ignoring_case(text.substr(0, equals), "bytes")) {
    return std::nullopt;
  }
  std::vector<RangeSpec> specs;
  std::string_view rest = text.substr(equals + 1);
  while (true) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view member = net::trim_blanks(rest.substr(0, comma));
    if (!member.empty()) {
      const std::optional<RangeSpec> spec = parse_spec(member);
      if (!spec || specs.size() == kRangesMax) return std::nullopt;
      specs.push_back(*spec);
    }
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  if (specs.empty()) return std::nullopt;
  return specs;
}

std::vector<ByteRange> satisfiable(const std::vector<RangeSpec>& specs, uint64_t length) {
  struct Placed {
    ByteRange range;
    size_t place = 0;  // among those asked for
  };
  std::vector<Placed> asked;
  for (size_t place = 0; place < specs.size() && length > 0; ++place) {
    const RangeSpec& spec = specs[place];
    if (!spec.first) {
      const uint64_t size = std::min(spec.last.value_or(0), length);
      if (size > 0) asked.push_back({{length - size, length - 1}, place});
    } else if (*spec.first < length) {
      asked.push_back({{*spec.first, std::min(spec.last.value_or(UINT64_MAX), length - 1)}, place});
    }
  }
  std::ranges::sort(asked, {}, [](const Placed& one) { return one.range.first; });
  std::vector<Placed> merged;
  for (const Placed& one : asked) {
    if (!merged.empty() && one.range.first <= merged.back().range.last + kRangeGapMin) {
      Placed& before = merged.back();
      before.range.last = std::max(before.range.last, one.range.last);
      before.place = std::min(before.place, one.place);
    } else {
      merged.push_back(one);
    }
  }
  std::ranges::sort(merged, {}, &Placed::place);
  std::vector<ByteRange> ranges;
  for (const Placed& one : merged) ranges.push_back(one.range);
  return ranges;
}

ByteRange hull_of(std::span<const ByteRange> ranges) {
  ByteRange hull = ranges.front();
  for (const ByteRange& range : ranges) hull = {std::min(hull.first, range.first), std::max(hull.last, range.last)};
  return hull;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (text.size() < kUnit.size() || !net::equals_ignoring_case(text.substr(0, kUnit.size()), kUnit)) {
    return std::nullopt;
  }
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const std::optional<uint64_t> first = number(text.substr(0, dash));
  const std::optional<uint64_t> last = number(text.substr(dash + 1, slash - dash - 1));
  const std::string_view length_text = text.substr(slash + 1);
  const std::optional<uint64_t> length = number(length_text);
  if (!first || !last || *last < *first || *last == UINT64_MAX) return std::nullopt;
  if (!length && length_text != "*") return std::nullopt;
  if (length && *last >= *length) return std::nullopt;
  return ContentRange{.range = {*first, *last}, .length = length};
}

std::string content_range(const ByteRange& range, uint64_t length) {
  return fmt::format("bytes {}-{}/{}", range.first, range.last, length);
}

}  // namespace verge::cache
