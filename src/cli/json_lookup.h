// Looks values up in the JSON that nodes answer with. What is not well-formed gives nothing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace verge::cli {

// The value at a path of member names, as minified JSON; nothing if there is none.
std::optional<std::string> json_at(std::string_view json, std::initializer_list<std::string_view> path);

// The same as a number; 0 if there is none.
double number_at(std::string_view json, std::initializer_list<std::string_view> path);
// The same as a string; empty if it is none.
std::string text_at(std::string_view json, std::initializer_list<std::string_view> path);

}  // namespace verge::cli
