// PreparedConfig: a configuration that is good in every respect, with its rules compiled and its credentials read.
#pragma once

#include <expected>
#include <memory>

#include "node/config.h"
#include "node/credentials.h"
#include "rules/rule_set.h"

namespace verge::node {

struct PreparedConfig {
  Config config;
  std::shared_ptr<const rules::RuleSet> rules;
  Credentials credentials;
  ConfigProblems warnings = {};  // it works, and hardly as it was meant
};

// All that is wrong is found at once: values, then listeners, then rules, also those whose other keys are at fault,
// then credentials, which are not looked for without `with_credentials`.
std::expected<PreparedConfig, ConfigProblems> prepare_config(ConfigReading reading, bool with_credentials);

}  // namespace verge::node
