// From JSON that simdjson has parsed to Values and back to text.
#pragma once

#include <string>

#include <simdjson.h>

#include "rules/arena.h"
#include "rules/value.h"

namespace verge::rules {

// NULL for objects and arrays. Texts are views of the parser's.
Value json_scalar(const simdjson::dom::element& element);
// Texts, and objects and arrays as JSON, are kept in `arena`; `text` is overwritten.
Value json_value(const simdjson::dom::element& element, Arena& arena, std::string& text);
void append_element(std::string& out, const simdjson::dom::element& element);

}  // namespace verge::rules
