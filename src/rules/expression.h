// The tree that the parser makes of SQL, and the plan compiler turns into programs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/field_path.h"
#include "rules/functions.h"

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
  };

  Kind kind = Kind::kLiteral;
  size_t offset = 0;  // into the SQL, of the first byte
  uint32_t height = 1;
  Literal literal;
  FieldPath path;
  Function function{};
  Aggregate aggregate{};
  bool has_subject = false;  // of a CASE
  bool has_else = false;
  std::vector<std::unique_ptr<Expression>> operands;
};

using ExpressionPointer = std::unique_ptr<Expression>;

// Whether the two say the same, wherever they stand.
bool same(const Expression& left, const Expression& right);

// One column of a SELECT.
struct SelectItem {
  ExpressionPointer expression;  // null: '*'
  std::string name;              // the alias, else the field's last name, else the text of the expression
  size_t offset = 0;
};

struct Statement {
  std::vector<SelectItem> items;
  std::string filter;
  size_t filter_offset = 0;
  ExpressionPointer condition;  // null: none
  std::vector<ExpressionPointer> keys;
  std::optional<int64_t> window_us;  // none: no GROUP BY
};

}  // namespace verge::rules
