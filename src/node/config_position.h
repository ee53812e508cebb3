// Where a byte of a string's value stands in the text that the string was written in: compilers of what strings hold
// (rules, templates) count bytes of the value; people look for a line and a column of their file.
#pragma once

#include <cstdint>
#include <string_view>

namespace verge::node {

// From 1; columns count Unicode code points; a byte order mark counts nothing.
struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
  bool operator==(const Position&) const = default;
};

// The position of byte `offset` of `text`; of its end when there are fewer bytes.
Position position_in_text(std::string_view text, size_t offset);

// `token` is where a TOML string (of any of the four forms) opens in `text`, `value` what it says. The position of what
// stands for byte `offset` of the value; the closing quote's when there are fewer bytes. `token` itself when no string
// of that value stands there.
Position position_in_string(std::string_view text, Position token, std::string_view value, size_t offset);

}  // namespace verge::node
