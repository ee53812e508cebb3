// Compiles one rule: parses its SQL, gives names their meaning, and prepares its templates.
#pragma once

#include <expected>

#include "rules/rule.h"
#include "rules/rule_source.h"
#include "rules/table.h"

namespace verge::rules {

inline constexpr size_t kRuleNameBytesMax = 128;

// The problem's `rule` and the Rule's `index` are left 0. `tables` are those that the rule may look in.
std::expected<Rule, RuleProblem> compile_rule(const RuleSource& source, const Tables& tables);

}  // namespace verge::rules
