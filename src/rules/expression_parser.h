// Parses one expression by recursive descent, loosest binding first:
// FOR, OR, AND, NOT, comparison (also IS, IN, LIKE, BETWEEN), + - ||, * / %, unary -, then names, literals, calls,
// CASE, (…).
#pragma once

#include "rules/expression.h"
#include "rules/token_stream.h"

namespace verge::rules {

inline constexpr uint32_t kNestingMax = 64;  // of parentheses, calls, CASE, NOT and unary minus

inline constexpr int64_t kForMicrosecondsMax = 24LL * 3600 * 1'000'000;

// A duration such as 10 s, in microseconds, from `least` to `most` and in whole milliseconds; nothing when the stream
// has failed.
std::optional<int64_t> parse_duration_us(TokenStream& tokens, int64_t least, int64_t most);

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  // Null when the stream has failed.
  ExpressionPointer parse();
  // name, a.b[0], "quoted name".c; empty when the stream has failed.
  FieldPath parse_path();

 private:
  ExpressionPointer parse_or();
  ExpressionPointer parse_and();
  ExpressionPointer parse_not();
  ExpressionPointer parse_comparison();
  ExpressionPointer parse_predicate(ExpressionPointer left);
  ExpressionPointer parse_between(ExpressionPointer value);
  ExpressionPointer parse_in(ExpressionPointer value);
  ExpressionPointer parse_additive();
  ExpressionPointer parse_multiplicative();
  ExpressionPointer parse_unary();
  ExpressionPointer parse_primary();
  ExpressionPointer parse_number();
  ExpressionPointer parse_case();
  ExpressionPointer parse_call();
  ExpressionPointer parse_cast(const Token& token);
  ExpressionPointer parse_aggregate(const Token& token, Aggregate aggregate);
  ExpressionPointer complete_fuse(const Token& token, ExpressionPointer call);
  ExpressionPointer check_constants_of(ExpressionPointer call);
  ExpressionPointer complete_reduced(const Token& token, ExpressionPointer call);
  static double number_of(const Expression& expression);
  ExpressionPointer parse_for(ExpressionPointer condition);
  bool parse_arguments(Expression& call);
  ExpressionPointer check_arguments(const Token& token, ExpressionPointer call, uint8_t least, uint8_t most);
  // Always null.
  ExpressionPointer fault_unknown_call(const Token& token);

  ExpressionPointer combine(Expression::Kind kind, ExpressionPointer left, ExpressionPointer right);
  ExpressionPointer wrap(Expression::Kind kind, size_t offset, ExpressionPointer operand);
  // Adds the operand; false when it is null or makes the tree too high.
  bool adopt(Expression& parent, ExpressionPointer operand);
  bool enter();

  TokenStream& tokens_;
  uint32_t nesting_ = 0;
};

}  // namespace verge::rules
