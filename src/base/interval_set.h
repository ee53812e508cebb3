// IntervalSet: which sequence numbers of a stream were seen, as disjoint half-open intervals. A stream sent in order is
// one interval; holes make more.
#pragma once

#include <cstdint>
#include <vector>

namespace verge {

class IntervalSet {
 public:
  struct Interval {
    uint64_t begin;
    uint64_t end;
    bool operator==(const Interval&) const = default;
  };

  // True when `value` was not in the set.
  bool insert(uint64_t value);
  void insert(Interval interval);
  void erase(uint64_t value) { erase({value, value + 1}); }
  void erase(Interval removed);
  [[nodiscard]] bool contains(uint64_t value) const;
  // Everything below `floor` counts as seen.
  void raise_floor(uint64_t floor) {
    if (floor > 0) insert({0, floor});
  }
  // The first stretch of values from `from` on that are not in the set, and below `end`; empty when there is none.
  [[nodiscard]] Interval first_gap(uint64_t from, uint64_t end) const;
  // How many values from `from` on and below `end` are not in the set.
  [[nodiscard]] uint64_t missing(uint64_t from, uint64_t end) const;
  [[nodiscard]] const std::vector<Interval>& intervals() const { return intervals_; }

 private:
  std::vector<Interval> intervals_;  // sorted, disjoint, not touching
};

}  // namespace verge
