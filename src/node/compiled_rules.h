// The rules of a configuration, compiled, with the tables that they look up in and the formats of their payloads, both
// read from their files.
#pragma once

#include <expected>
#include <memory>
#include <optional>

#include "base/error.h"
#include "node/config.h"
#include "node/config_position.h"
#include "rules/rule_set.h"

namespace verge::node {

// The problems, one a rule, are placed in the file. Errors besides those of rules: rule.table, rule.payload.
std::expected<std::shared_ptr<const rules::RuleSet>, ConfigProblems> compile_rules(const Config& config);

// Why a change of the rules was refused, and where in the rule's SQL.
struct RuleRefusal {
  Error error;
  std::optional<Position> in_sql = std::nullopt;
};
// The same, with the first problem as who sent the rule sees it.
std::expected<std::shared_ptr<const rules::RuleSet>, RuleRefusal> compile_changed_rules(const Config& config);

}  // namespace verge::node
