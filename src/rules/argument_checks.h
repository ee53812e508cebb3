// Calls that can never give anything, because of an argument that is written as a literal: a table or column that is
// not there, a unit of time that is none, bounds the wrong way round. Evaluated, they would be NULL for every message.
#pragma once

#include <optional>

#include "rules/expression.h"
#include "rules/fault.h"
#include "rules/table.h"

namespace verge::rules {

// The first such call in the expression; nothing where there is none.
std::optional<Fault> check_literal_arguments(const Expression& expression, const Tables& tables);

}  // namespace verge::rules
