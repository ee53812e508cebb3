#include "rules/rule_set.h"

#include <string>
#include <unordered_set>

#include <fmt/format.h>

#include "rules/rule_compiler.h"

namespace verge::rules {

std::expected<std::shared_ptr<const RuleSet>, std::vector<RuleProblem>> RuleSet::compile(
    std::vector<RuleSource> sources) {
  std::shared_ptr<RuleSet> set(new RuleSet);
  std::vector<RuleProblem> problems;
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::expected<Rule, RuleProblem> rule = compile_rule(sources[i]);
    if (!rule) {
      rule.error().rule = i;
      problems.push_back(std::move(rule.error()));
      continue;
    }
    if (!names.insert(rule->name).second) {
      problems.push_back({.error = {"rule.duplicate-name", fmt::format("there are two rules named {}", rule->name),
                                    "rename one of them"},
                          .rule = i,
                          .part = RuleProblem::Part::kName});
      continue;
    }
    rule->index = i;
    set->topics_.add(rule->filter, static_cast<uint32_t>(i));
    set->by_identity_.emplace(rule->identity, i);
    set->rules_.push_back(std::move(*rule));
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return set;
}

const Rule* RuleSet::find(uint64_t identity) const {
  const auto found = by_identity_.find(identity);
  return found == by_identity_.end() ? nullptr : &rules_[found->second];
}

}  // namespace verge::rules
