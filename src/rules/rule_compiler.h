// Compiles one rule: parses its SQL, gives names their meaning, and prepares its templates.
#pragma once

#include <expected>

#include "rules/rule.h"
#include "rules/rule_source.h"

namespace verge::rules {

inline constexpr size_t kRuleNameBytesMax = 128;

// The problem's `rule` and the Rule's `index` are left 0.
std::expected<Rule, RuleProblem> compile_rule(const RuleSource& source);

}  // namespace verge::rules
