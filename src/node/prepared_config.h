// PreparedConfig: a configuration that is good in every respect, with its rules compiled.
#pragma once

#include <expected>
#include <memory>

#include "node/config.h"
#include "rules/rule_set.h"

namespace verge::node {

struct PreparedConfig {
  Config config;
  std::shared_ptr<const rules::RuleSet> rules;
};

// All that is wrong is found at once: values, then listeners, then rules, also those whose other keys are at fault.
std::expected<PreparedConfig, ConfigProblems> prepare_config(ConfigReading reading);

}  // namespace verge::node
