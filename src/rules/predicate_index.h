// PredicateIndex: of the rules with one topic filter, those whose condition may hold for a message, found by the values
// of its fields instead of rule by rule.
//
// Each rule is filed under one predicate of its condition (predicate.h): by value in a hash table, or by bound in a
// sorted list. What a lookup gives is a superset: the conditions themselves are evaluated afterwards. Rules without
// such a predicate are always among them. Built once, then read by any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "rules/rule.h"
#include "rules/value.h"

namespace verge::rules {

class PredicateIndex {
 public:
  // `slot` is that of the predicate's field; null: no predicate.
  void add(uint32_t feed, const Predicate* predicate, uint32_t slot);
  // Call once, after the last add().
  void build();
  // Appends the feeds whose condition may hold.
  void candidates(std::span<const Value> slots, std::string& scratch, std::vector<uint32_t>& feeds) const;

 private:
  struct Bounds {
    double least;
    double most;
    uint32_t feed;
  };
  struct Field {
    uint32_t slot;
    std::unordered_map<std::string, std::vector<uint32_t>, StringHash, std::equal_to<>> by_value;  // encoded
    std::vector<Bounds> from;     // no upper bound; by `least`, ascending
    std::vector<Bounds> up_to;    // no lower bound; by `most`, descending
    std::vector<Bounds> between;  // by `least`, ascending
  };

  Field& field_of(uint32_t slot);

  std::vector<uint32_t> always_;
  std::vector<Field> fields_;
  std::unordered_map<uint32_t, size_t> places_;  // in fields_, by slot
};

}  // namespace verge::rules
