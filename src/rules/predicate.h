// From a condition to what the predicate index can look up.
#pragma once

#include <optional>

#include "rules/expression.h"
#include "rules/rule.h"

namespace verge::rules {

// Of the parts that must all hold, the one that most likely rules a message out: an equality, else a bound on both
// sides, else on one. Nothing where none compares a field with literals.
std::optional<Predicate> predicate_of(const Expression& condition);

}  // namespace verge::rules
