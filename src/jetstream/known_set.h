// The set of sequences that a message says are known after it, as its header has it (docs/formats/jetstream.md):
// "0-1200,1203,1301-1340", single ones and ranges with both ends in the set.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/interval_set.h"

namespace verge::jetstream {

inline constexpr size_t kKnownRangesMax = 4096;
// Servers keep the length of all headers in 16 bits.
inline constexpr size_t kKnownBytesMax = 48U << 10;

std::string write_known(const IntervalSet& known);

// Nothing when the text is not what write_known() makes, or has more than kKnownRangesMax ranges.
std::optional<IntervalSet> read_known(std::string_view text);

}  // namespace verge::jetstream
