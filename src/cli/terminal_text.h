// Text in the columns of a terminal.
//
// A character takes as many columns as terminals give it: two for those of East Asia and pictures, none for marks that
// stand on the one before. Where terminals differ, the larger number is counted: a line may end early, but not late.
// (wcwidth(3) was the alternative: it needs a locale of UTF-8, and a container may have none.)
// What printable() wrote for a character (\u{202e}, \x9b) stays whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::cli {

// Not where NO_COLOR is set and not empty (https://no-color.org).
bool wants_colours();

size_t columns_of(std::string_view text);

// As much of `text` as fits; where that is not all of it, it ends with "…".
std::string cut(std::string_view text, size_t columns);
// Cut, and filled with spaces on the right.
std::string padded(std::string_view text, size_t columns);

// In lines, between words where they fit; what is left after `lines_max` is cut.
std::vector<std::string> wrapped(std::string_view text, size_t columns, size_t lines_max);

}  // namespace verge::cli
