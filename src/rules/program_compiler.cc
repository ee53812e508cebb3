#include "rules/program_compiler.h"

#include <algorithm>

namespace verge::rules {
namespace {

using Kind = Expression::Kind;

Operation operation_of(Kind kind) {
  switch (kind) {
    case Kind::kNegate:
      return Operation::kNegate;
    case Kind::kAdd:
      return Operation::kAdd;
    case Kind::kSubtract:
      return Operation::kSubtract;
    case Kind::kMultiply:
      return Operation::kMultiply;
    case Kind::kDivide:
      return Operation::kDivide;
    case Kind::kRemainder:
      return Operation::kRemainder;
    case Kind::kEqual:
      return Operation::kEqual;
    case Kind::kNotEqual:
      return Operation::kNotEqual;
    case Kind::kLess:
      return Operation::kLess;
    case Kind::kLessEqual:
      return Operation::kLessEqual;
    case Kind::kGreater:
      return Operation::kGreater;
    case Kind::kGreaterEqual:
      return Operation::kGreaterEqual;
    case Kind::kNot:
      return Operation::kNot;
    case Kind::kBetween:
      return Operation::kBetween;
    case Kind::kIn:
      return Operation::kIn;
    case Kind::kIsNull:
      return Operation::kIsNull;
    case Kind::kLike:
      return Operation::kLike;
    default:
      return Operation::kCall;
  }
}

}  // namespace

Checked<Program> ProgramCompiler::compile(const Expression& expression, Scope& scope) {
  ProgramCompiler compiler(scope);
  if (!compiler.emit(expression)) return std::unexpected(std::move(compiler.fault_));
  return std::move(compiler.program_);
}

bool ProgramCompiler::emit(const Expression& expression) {
  Checked<std::optional<Instruction>> loaded = scope_.load(expression);
  if (!loaded) {
    fault_ = std::move(loaded.error());
    return false;
  }
  if (const std::optional<Instruction>& instruction = *loaded) {
    append(*instruction, 1);
    return true;
  }
  switch (expression.kind) {
    case Kind::kLiteral:
      emit_literal(expression.literal);
      return true;
    case Kind::kAnd:
    case Kind::kOr:
      return emit_logical(expression);
    case Kind::kCase:
      return emit_case(expression);
    default:
      return emit_operands(expression);
  }
}

bool ProgramCompiler::emit_operands(const Expression& expression) {
  for (const ExpressionPointer& operand : expression.operands) {
    if (!emit(*operand)) return false;
  }
  const auto count = static_cast<uint32_t>(expression.operands.size());
  const uint32_t operand = expression.kind == Kind::kIn ? count - 1 : count;
  append({.operation = operation_of(expression.kind), .function = expression.function, .operand = operand},
         1 - static_cast<int>(count));
  return true;
}

// The right side is skipped where the left one decides.
bool ProgramCompiler::emit_logical(const Expression& expression) {
  const bool is_and = expression.kind == Kind::kAnd;
  if (!emit(*expression.operands[0])) return false;
  const size_t decided = append({.operation = is_and ? Operation::kJumpIfFalse : Operation::kJumpIfTrue}, 0);
  if (!emit(*expression.operands[1])) return false;
  append({.operation = is_and ? Operation::kAnd : Operation::kOr}, -1);
  land(decided);
  return true;
}

// With a subject, the subject stays under everything until a branch is chosen, whose value then replaces it.
bool ProgramCompiler::emit_case(const Expression& expression) {
  const auto& operands = expression.operands;
  size_t at = 0;
  if (expression.has_subject && !emit(*operands[at++])) return false;
  const size_t pairs_end = operands.size() - (expression.has_else ? 1 : 0);
  std::vector<size_t> chosen;
  for (; at < pairs_end; at += 2) {
    if (expression.has_subject) append({.operation = Operation::kDuplicate}, 1);
    if (!emit(*operands[at])) return false;
    if (expression.has_subject) append({.operation = Operation::kEqual}, -1);
    const size_t other = append({.operation = Operation::kJumpUnlessTrue}, -1);
    if (!emit(*operands[at + 1])) return false;
    chosen.push_back(append({.operation = Operation::kJump}, -1));
    land(other);
  }
  if (!expression.has_else) {
    emit_literal({});
  } else if (!emit(*operands.back())) {
    return false;
  }
  for (const size_t jump : chosen) land(jump);
  if (expression.has_subject) append({.operation = Operation::kNip}, -1);
  return true;
}

void ProgramCompiler::emit_literal(const Literal& literal) {
  Value constant;
  if (const auto* boolean = std::get_if<bool>(&literal)) constant = Value::boolean(*boolean);
  if (const auto* integer = std::get_if<int64_t>(&literal)) constant = Value::integer(*integer);
  if (const auto* number = std::get_if<double>(&literal)) constant = Value::number(*number);
  if (const auto* text = std::get_if<std::string>(&literal)) {
    constant = Value::text(program_.texts_.emplace_back(*text));
  }
  const auto index = static_cast<uint32_t>(program_.constants_.size());
  program_.constants_.push_back(constant);
  append({.operation = Operation::kConstant, .operand = index}, 1);
}

size_t ProgramCompiler::append(Instruction instruction, int change) {
  stack_ = static_cast<size_t>(static_cast<int64_t>(stack_) + change);
  program_.stack_max_ = std::max(program_.stack_max_, stack_);
  program_.instructions_.push_back(instruction);
  return program_.instructions_.size() - 1;
}

void ProgramCompiler::land(size_t place) {
  program_.instructions_[place].operand = static_cast<uint32_t>(program_.instructions_.size());
}

}  // namespace verge::rules
