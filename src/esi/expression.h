// The tests of <esi:when> (ESI 1.0, section 3.2):
//
//   or         = and *( ("|" / "||") and )
//   and        = unary *( ("&" / "&&") unary )
//   unary      = "!" unary / "(" or ")" / comparison
//   comparison = operand [ ("==" / "!=" / "<=" / ">=" / "<" / ">") operand ]
//   operand    = "'" text "'" / number / "true" / "false" / "$(" … ")"
//
// Where both sides are numbers they are compared as such, else as text, byte by byte. An operand alone holds unless it
// is empty, "false" or 0.
//
// Bounds: parentheses and negations are 32 deep at most; beyond it cannot be read.
#pragma once

#include <string_view>

#include "esi/variables.h"

namespace verge::esi {

bool is_expression(std::string_view test);
// `test` is an expression; what is none does not hold.
bool holds(std::string_view test, const Variables& variables);

// Whether each "$(" in the text begins a variable that can be read.
bool is_expandable(std::string_view text);

}  // namespace verge::esi
