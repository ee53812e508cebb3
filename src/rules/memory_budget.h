// MemoryBudget: how much rules may remember, each and all together. Shared by the loops.
#pragma once

#include <atomic>
#include <cstddef>

namespace verge::rules {

struct MemoryBudget {
  size_t rule_max = 64U << 20;    // a rule and loop
  size_t total_max = 512U << 20;  // all rules on all loops
  std::atomic<size_t> used{0};
};

}  // namespace verge::rules
