// Turns an expression into a Program by walking the tree once.
#pragma once

#include "rules/expression.h"
#include "rules/fault.h"
#include "rules/program.h"
#include "rules/scope.h"

namespace verge::rules {

class ProgramCompiler {
 public:
  static Checked<Program> compile(const Expression& expression, Scope& scope);

 private:
  explicit ProgramCompiler(Scope& scope) : scope_(scope) {}

  // Each leaves one value more on the stack; false when fault_ is set.
  bool emit(const Expression& expression);
  bool emit_operands(const Expression& expression);
  bool emit_logical(const Expression& expression);
  bool emit_case(const Expression& expression);
  void emit_literal(const Literal& literal);

  // Appends the instruction, which changes the height of the stack by `change`; returns its place.
  size_t append(Instruction instruction, int change);
  // Lets the jump at `place` go on with the instruction appended next.
  void land(size_t place);

  Scope& scope_;
  Program program_;
  size_t stack_ = 0;
  Fault fault_;
};

}  // namespace verge::rules
