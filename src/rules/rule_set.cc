#include "rules/rule_set.h"

#include <string>

#include <fmt/format.h>

#include "rules/rule_compiler.h"

namespace verge::rules {

std::expected<std::shared_ptr<const RuleSet>, std::vector<RuleProblem>> RuleSet::compile(
    std::vector<RuleSource> sources, std::shared_ptr<const Tables> tables, PayloadFormats formats) {
  std::shared_ptr<RuleSet> set(new RuleSet);
  set->tables_ = tables != nullptr ? std::move(tables) : std::make_shared<const Tables>();
  set->formats_ = std::move(formats);
  set->rules_.reserve(sources.size());
  std::vector<RuleProblem> problems;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::expected<Rule, RuleProblem> rule = compile_rule(sources[i], *set->tables_);
    if (!rule) {
      rule.error().rule = i;
      problems.push_back(std::move(rule.error()));
      continue;
    }
    if (!set->by_name_.emplace(rule->name, i).second) {
      problems.push_back({.error = {"rule.duplicate-name", fmt::format("there are two rules named {}", rule->name),
                                    "rename one of them"},
                          .rule = i,
                          .part = RuleProblem::Part::kName});
      continue;
    }
    if (problems.empty()) set->add(std::move(*rule));
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  for (FilterGroup& group : set->groups_) group.index.build();
  return set;
}

void RuleSet::add(Rule rule) {
  rule.index = rules_.size();
  by_identity_.emplace(rule.identity, rule.index);
  for (uint8_t i = 0; i < rule.feeds.size(); ++i) {
    Feed& feed = rule.feeds[i];
    std::vector<uint32_t> slots;
    for (const FieldPath& path : feed.fields) slots.push_back(slot_of(path));
    const auto relocate = [&](std::vector<Program>& programs) {
      for (Program& program : programs) program.relocate(slots);
    };
    if (feed.condition) feed.condition->relocate(slots);
    if (feed.timestamp) feed.timestamp->relocate(slots);
    relocate(feed.captures);
    relocate(feed.route);
    if (!rule.memory) {
      for (Column& column : rule.columns) column.program.relocate(slots);
    }
    const auto number = static_cast<uint32_t>(feeds_.size());
    feeds_.push_back({.rule = static_cast<uint32_t>(rule.index), .feed = i});
    const uint32_t in = group_with(feed.filter);
    if (i == 0) rule_groups_.push_back(in);
    FilterGroup& group = groups_[in];
    group.feeds.push_back(number);
    group.reads_fields |= !feed.fields.empty();
    const Predicate* predicate = feed.predicate ? &*feed.predicate : nullptr;
    group.index.add(number, predicate, predicate != nullptr ? slot_of(predicate->field) : 0);
  }
  rules_.push_back(std::move(rule));
}

uint32_t RuleSet::slot_of(const FieldPath& path) {
  const uint32_t known = fields_.slot_of(path);
  if (known != FieldTree::kNone) return known;
  const auto slot = static_cast<uint32_t>(slot_count_++);
  fields_.add(path, slot);
  return slot;
}

uint32_t RuleSet::group_with(const std::string& filter) {
  const auto [group, is_new] = group_numbers_.emplace(filter, static_cast<uint32_t>(groups_.size()));
  if (is_new) {
    groups_.push_back({.filter = filter, .feeds = {}, .index = {}});
    topics_.add(filter, group->second);
  }
  return group->second;
}

const Rule* RuleSet::find(uint64_t identity) const {
  const auto found = by_identity_.find(identity);
  return found == by_identity_.end() ? nullptr : &rules_[found->second];
}

const Rule* RuleSet::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &rules_[found->second];
}

}  // namespace verge::rules
