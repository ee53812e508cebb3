// RuleSet: all rules of a node, compiled. Immutable; shared by the loops and kept alive by those that still use it
// while a reload brings the next.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/rule.h"
#include "rules/rule_source.h"
#include "rules/topic_index.h"

namespace verge::rules {

class RuleSet {
 public:
  // The rules in the order given, or the first problem of each rule that has one.
  static std::expected<std::shared_ptr<const RuleSet>, std::vector<RuleProblem>> compile(
      std::vector<RuleSource> sources);

  [[nodiscard]] std::span<const Rule> rules() const { return rules_; }
  // Sets `indexes` to the rules whose filter matches, in order of declaration. `topic` must be a valid topic name.
  void match(std::string_view topic, std::vector<uint32_t>& indexes) const { topics_.match(topic, indexes); }
  // By Rule::identity; null when there is none.
  [[nodiscard]] const Rule* find(uint64_t identity) const;

 private:
  RuleSet() = default;

  std::vector<Rule> rules_;
  TopicIndex topics_;
  std::unordered_map<uint64_t, size_t> by_identity_;
};

}  // namespace verge::rules
