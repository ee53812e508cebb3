// The text of the values in a JSON document that a parser has found sound: what a parser makes of a number has 64 bits,
// its text has all digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace verge::node {

// The values of an array, or of an object's members, in their order, without white space around them: views into
// `container`, which is the text of one array or object. What is no JSON gives nothing useful, but nothing worse.
std::vector<std::string_view> json_values(std::string_view container);

// The same value without white space outside of strings.
std::string json_minified(std::string_view value);

// JSON bounds no number (RFC 8259 section 6), parsers do. The same text, of the same length, with a zero for each
// number that neither an integer of 64 bits nor a double holds; nothing where there is none. What is no number stays,
// and what was no JSON is none.
std::optional<std::string> with_numbers_in_range(std::string_view json);

// Parses what may have numbers of any size: in `value` those out of range are zero, and have their text where `json`
// has it. `value` is good until the parser is used again. Errors: those of simdjson.
simdjson::error_code parse_json(simdjson::dom::parser& parser, std::string_view json, simdjson::dom::element& value);

}  // namespace verge::node
