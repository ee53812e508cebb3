// RuleSet: all rules of a node, compiled. Immutable; shared by the loops and kept alive by those that still use it
// while a reload brings the next.
//
// Streams with the same topic filter form a group, with an index of their conditions. All fields that any rule reads
// are one tree, so that a payload is walked once for all rules; each field has one slot.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/field_tree.h"
#include "rules/payload_formats.h"
#include "rules/predicate_index.h"
#include "rules/rule.h"
#include "rules/rule_source.h"
#include "rules/table.h"
#include "rules/topic_index.h"

namespace verge::rules {

class RuleSet {
 public:
  // A stream of a rule.
  struct FeedPlace {
    uint32_t rule = 0;  // Rule::index
    uint8_t feed = 0;
  };
  // The streams with one topic filter.
  struct FilterGroup {
    std::string filter;
    std::vector<uint32_t> feeds;  // in order of declaration
    PredicateIndex index;
    bool reads_fields = false;
  };

  // The rules in the order given, or the first problem of each rule that has one.
  static std::expected<std::shared_ptr<const RuleSet>, std::vector<RuleProblem>> compile(
      std::vector<RuleSource> sources, std::shared_ptr<const Tables> tables = nullptr, PayloadFormats formats = {});

  [[nodiscard]] std::span<const Rule> rules() const { return rules_; }
  [[nodiscard]] std::span<const FilterGroup> groups() const { return groups_; }
  [[nodiscard]] FeedPlace feed(uint32_t number) const { return feeds_[number]; }
  // The group of a rule's first stream.
  [[nodiscard]] uint32_t group_of(size_t rule) const { return rule_groups_[rule]; }
  // Sets `groups` to those whose filter matches. `topic` must be a valid topic name.
  void match(std::string_view topic, std::vector<uint32_t>& groups) const { topics_.match(topic, groups); }
  // By Rule::identity, or name; null when there is none.
  [[nodiscard]] const Rule* find(uint64_t identity) const;
  [[nodiscard]] const Rule* find(std::string_view name) const;

  [[nodiscard]] const FieldTree& fields() const { return fields_; }
  [[nodiscard]] size_t slot_count() const { return slot_count_; }
  [[nodiscard]] const Tables& tables() const { return *tables_; }
  [[nodiscard]] const PayloadFormats& formats() const { return formats_; }

 private:
  RuleSet() = default;

  void add(Rule rule);
  uint32_t slot_of(const FieldPath& path);
  uint32_t group_with(const std::string& filter);

  std::vector<Rule> rules_;
  std::vector<FeedPlace> feeds_;
  std::vector<FilterGroup> groups_;
  std::vector<uint32_t> rule_groups_;
  TopicIndex topics_;
  FieldTree fields_;
  size_t slot_count_ = 0;
  std::shared_ptr<const Tables> tables_;
  PayloadFormats formats_;
  std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>> group_numbers_;  // by filter
  std::unordered_map<uint64_t, size_t> by_identity_;
  std::unordered_map<std::string, size_t, StringHash, std::equal_to<>> by_name_;
};

}  // namespace verge::rules
