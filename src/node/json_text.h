// The text of the values in a JSON document that a parser has found sound: what a parser makes of a number has 64 bits,
// its text has all digits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::node {

// The values of an array, or of an object's members, in their order, without white space around them: views into
// `container`, which is the text of one array or object. What is no JSON gives nothing useful, but nothing worse.
std::vector<std::string_view> json_values(std::string_view container);

// The same value without white space outside of strings.
std::string json_minified(std::string_view value);

}  // namespace verge::node
