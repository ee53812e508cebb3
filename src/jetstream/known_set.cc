#include "jetstream/known_set.h"

#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace verge::jetstream {
namespace {

// Takes a number off the front of `text`.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

std::string write_known(const IntervalSet& known) {
  std::string text;
  for (const auto& [begin, end] : known.intervals()) {
    fmt::format_to(std::back_inserter(text), "{}{}", text.empty() ? "" : ",", begin);
    if (end - begin > 1) fmt::format_to(std::back_inserter(text), "-{}", end - 1);
  }
  return text;
}

std::optional<IntervalSet> read_known(const std::string_view whole) {
  std::string_view text = whole;
  IntervalSet known;
  uint64_t lowest_next = 0;
  while (!text.empty()) {
    const std::optional<uint64_t> first = take_number(text);
    std::optional<uint64_t> last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_number(text);
    }
    if (!first || !last || *last < *first || *first < lowest_next || *last > std::numeric_limits<uint64_t>::max() - 2) {
      return std::nullopt;
    }
    known.insert({*first, *last + 1});
    if (known.intervals().size() > kKnownRangesMax) return std::nullopt;
    lowest_next = *last + 2;
    if (text.empty()) break;
    if (!text.starts_with(',') || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  // Zeros in front and the like.
  if (write_known(known) != whole) return std::nullopt;
  return known;
}

}  // namespace verge::jetstream
