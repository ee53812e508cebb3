// Reach: how long it takes to ask each level from here, and which of them a question goes to.
//
// What is not measured is taken to be as near as a level usually is at best: the edge 1 ms, the fog 10 ms, the cloud
// 50 ms. A measurement counts for a while and is then forgotten, so that a level that was out of reach is tried again.
// A question that got no answer in time counts as one that took twice its deadline: after some in a row the level is
// out of reach.
#pragma once

#include <array>
#include <optional>

#include "base/clock.h"
#include "model/priority.h"

namespace verge::node {

// Where a question goes.
struct Placement {
  enum class Where { kHere, kUp, kNowhere };
  Where where = Where::kHere;
  std::optional<Tier> level;  // with kUp: the level that is to decide; none: the parent, whatever it is
  bool is_replaced = false;   // the level that was wanted is out of reach
};

class Reach {
 public:
  static constexpr Duration kCountsFor = std::chrono::seconds(5);

  explicit Reach(Tier own) : own_(own) {}

  // What the parent is, and how long it takes to ask it, as the reports say.
  void parent_is(Tier tier, Duration round_trip, MonotonicTime now);
  // Asking for that level (none: the parent) took so long.
  void measured(std::optional<Tier> level, Duration took, MonotonicTime now);
  void late(std::optional<Tier> level, Duration deadline, MonotonicTime now) { measured(level, 2 * deadline, now); }

  [[nodiscard]] Duration expected(std::optional<Tier> level, MonotonicTime now) const;
  // Where a decision is made that must be there in `left`: at the level that is wanted (none: the parent), else at the
  // next best below it that can be reached, else nowhere up there. `has_parent`: somebody is up there.
  [[nodiscard]] Placement place(std::optional<Tier> wanted, Duration left, bool has_parent, MonotonicTime now) const;

 private:
  struct Measure {
    Duration took{0};
    std::optional<MonotonicTime> at;
  };
  static constexpr size_t kNext = 4;
  static size_t index_of(std::optional<Tier> level) { return level ? static_cast<size_t>(*level) : kNext; }

  const Tier own_;
  std::optional<Tier> parent_;
  Measure reported_;  // of the parent
  std::array<Measure, kNext + 1> measures_;
};

}  // namespace verge::node
