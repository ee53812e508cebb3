// Looks values up in the JSON that our own nodes answer with. It is trusted to be well-formed: what is not gives
// nothing, or a wrong value, but never a fault.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace verge::cli {

// The text of the value at a path of member names, objects and strings with what encloses them; nothing if there is
// none.
std::optional<std::string_view> json_at(std::string_view json, std::initializer_list<std::string_view> path);

// The same as a number; 0 if there is none.
double number_at(std::string_view json, std::initializer_list<std::string_view> path);
// The same as a string without quotes; escapes other than \" and \\ stay. Empty if there is none.
std::string text_at(std::string_view json, std::initializer_list<std::string_view> path);

}  // namespace verge::cli
