#include "rules/expression.h"

#include <algorithm>

namespace verge::rules {

bool same(const Expression& left, const Expression& right) {
  return left.kind == right.kind && left.literal == right.literal && left.path == right.path &&
         left.function == right.function && left.aggregate == right.aggregate &&
         left.has_subject == right.has_subject && left.has_else == right.has_else &&
         std::ranges::equal(left.operands, right.operands, [](const auto& a, const auto& b) { return same(*a, *b); });
}

std::string path_text(const FieldPath& path) {
  std::string text;
  for (const PathStep& step : path) {
    if (step.is_element) {
      text.append("[").append(std::to_string(step.element)).append("]");
    } else {
      text.append(text.empty() ? "" : ".").append(step.name);
    }
  }
  return text;
}

}  // namespace verge::rules
