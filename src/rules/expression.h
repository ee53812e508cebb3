// The tree that the parser makes of SQL, and the plan compiler turns into programs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/aggregate.h"
#include "rules/field_path.h"
#include "rules/functions.h"
#include "rules/state_function.h"

namespace verge::rules {

// A tree is at most this deep, so that walking it recursively is safe.
inline constexpr uint32_t kExpressionHeightMax = 512;

// NULL, boolean, integer, double or text.
using Literal = std::variant<std::monostate, bool, int64_t, double, std::string>;

struct Expression {
  enum class Kind : uint8_t {
    kLiteral,
    kField,
    kNegate,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kRemainder,
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kAnd,
    kOr,
    kNot,
    kBetween,  // value, low, high
    kIn,       // value, then the list
    kIsNull,
    kLike,
    kCase,       // [subject], then pairs of when and then, [else]
    kCall,       // of `function`
    kAggregate,  // of `aggregate`; no operand: count(*)
    kState,      // of `state`: remembers what came before
  };

  Kind kind = Kind::kLiteral;
  size_t offset = 0;  // into the SQL, of the first byte
  uint32_t height = 1;
  Literal literal;
  FieldPath path;
  Function function{};
  AggregateCall aggregate;
  StateFunction state{};
  int64_t duration_us = 0;   // of FOR
  bool has_subject = false;  // of a CASE
  bool has_else = false;
  std::vector<std::unique_ptr<Expression>> operands;
};

using ExpressionPointer = std::unique_ptr<Expression>;

// Whether the two say the same, wherever they stand.
bool same(const Expression& left, const Expression& right);
ExpressionPointer clone(const Expression& expression);

// Calls `visit` for the expression and all in it, outermost first.
template <class Visit>
void for_each(const Expression& expression, const Visit& visit) {
  visit(expression);
  for (const ExpressionPointer& operand : expression.operands) for_each(*operand, visit);
}

// Whether it, or something in it, remembers what came before.
bool has_state(const Expression& expression);

// Whether a part of it is `condition FOR duration`.
bool has_for(const Expression& expression);

// Appends what the expression consists of where it is a conjunction, a AND b AND c, else itself.
void conjuncts(const Expression& expression, std::vector<const Expression*>& out);

}  // namespace verge::rules
