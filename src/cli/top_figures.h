// Figures of a node's answers, as people read them at a terminal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace verge::cli {

// The member as text that a terminal does not obey; empty where it is none.
std::string text_of(const simdjson::dom::element& from, std::string_view name);
std::optional<double> number_of(const simdjson::dom::element& from, std::string_view name);
// The member as a flag; `usual` where it is none.
bool flag_of(const simdjson::dom::element& from, std::string_view name, bool usual);

using Show = std::string (*)(double);
// The member as `show` writes it; "-" where it is none.
std::string shown(const simdjson::dom::element& from, std::string_view name, Show show);

std::string plain(double value);
std::string a_second(double value);
std::string percent(double value);
std::string bytes(double value);
std::string bytes_a_second(double value);
std::string of_seconds(double value);
std::string of_milliseconds(double value);
std::string of_microseconds(double value);

}  // namespace verge::cli
