// A rule's actions as JSON, with the keys that [[rule]] has: what read_rule() reads again.
#pragma once

#include <string>
#include <string_view>

#include "rules/rule_source.h"

namespace verge::node {

// [{"publish":"o/${x}","qos":1},{"upload":"high"}]: what has its default is left out.
std::string actions_json(const rules::RuleSource& rule);

// "normal", or "none".
std::string_view report_word(const rules::RuleSource& rule);

}  // namespace verge::node
