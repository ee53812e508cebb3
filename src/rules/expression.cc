#include "rules/expression.h"

#include <algorithm>

namespace verge::rules {

bool same(const Expression& left, const Expression& right) {
  return left.kind == right.kind && left.literal == right.literal && left.path == right.path &&
         left.function == right.function && left.aggregate == right.aggregate && left.state == right.state &&
         left.duration_us == right.duration_us && left.has_subject == right.has_subject &&
         left.has_else == right.has_else &&
         std::ranges::equal(left.operands, right.operands, [](const auto& a, const auto& b) { return same(*a, *b); });
}

ExpressionPointer clone(const Expression& expression) {
  auto copy = std::make_unique<Expression>();
  copy->kind = expression.kind;
  copy->offset = expression.offset;
  copy->height = expression.height;
  copy->literal = expression.literal;
  copy->path = expression.path;
  copy->function = expression.function;
  copy->aggregate = expression.aggregate;
  copy->state = expression.state;
  copy->duration_us = expression.duration_us;
  copy->has_subject = expression.has_subject;
  copy->has_else = expression.has_else;
  for (const ExpressionPointer& operand : expression.operands) copy->operands.push_back(clone(*operand));
  return copy;
}

bool has_state(const Expression& expression) {
  bool found = false;
  for_each(expression, [&](const Expression& part) { found = found || part.kind == Expression::Kind::kState; });
  return found;
}

bool has_for(const Expression& expression) {
  bool found = false;
  for_each(expression, [&](const Expression& part) {
    found = found || (part.kind == Expression::Kind::kState && part.state == StateFunction::kFor);
  });
  return found;
}

void conjuncts(const Expression& expression, std::vector<const Expression*>& out) {
  if (expression.kind != Expression::Kind::kAnd) {
    out.push_back(&expression);
    return;
  }
  for (const ExpressionPointer& operand : expression.operands) conjuncts(*operand, out);
}

std::string path_text(const FieldPath& path) {
  std::string text;
  for (const PathStep& step : path) {
    if (step.is_element) {
      text.append("[").append(std::to_string(step.element)).append("]");
    } else {
      if (!text.empty()) text.push_back('.');
      text.append(step.name);
    }
  }
  return text;
}

}  // namespace verge::rules
