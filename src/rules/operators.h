// Operators on values. Whatever is given the wrong types, NULL, or no finite result gives NULL.
#pragma once

#include <optional>

#include "rules/value.h"

namespace verge::rules {

// Integers stay integers unless the result does not fit (then it is the nearest double).
Value add(const Value& left, const Value& right);
Value subtract(const Value& left, const Value& right);
Value multiply(const Value& left, const Value& right);
// An integer where two integers divide without remainder, else a double. NULL when dividing by zero.
Value divide(const Value& left, const Value& right);
// With the sign of the dividend, as fmod.
Value remainder(const Value& left, const Value& right);
Value negate(const Value& operand);

// Negative, zero or positive. Numbers compare by value, exactly; texts by bytes; FALSE before TRUE. Nothing for NULL,
// for values of different types and for objects and arrays.
std::optional<int> compare(const Value& left, const Value& right);

// Three-valued: an operand that is no boolean counts as unknown.
Value logical_and(const Value& left, const Value& right);
Value logical_or(const Value& left, const Value& right);
Value logical_not(const Value& operand);

inline constexpr size_t kLikeStepsMax = 1U << 22;

// '%' stands for any text, '_' for one character (of UTF-8); case matters. NULL where an answer would take more than
// kLikeStepsMax steps, which may grow with the product of the lengths.
Value like(const Value& text, const Value& pattern);

}  // namespace verge::rules
