// LateRow: a group whose window is over, taken out of its window because one of its aggregates takes long to compute
// (takes_long()). It may be computed on any thread, while the loop that made it goes on; then that loop's Evaluator
// takes it (Evaluator::take()).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "rules/rule_set.h"
#include "rules/window.h"

namespace verge::rules {

struct LateRow {
  std::shared_ptr<const RuleSet> rules;  // keep the rule
  const Rule* rule = nullptr;
  Emission emission;
  uint64_t number = 0;  // as of Memory::Row

  void compute() const {
    for (const Accumulator& accumulator : emission.accumulators) accumulator.prepare();
  }
  [[nodiscard]] size_t bytes() const { return sizeof(LateRow) + bytes_of(emission.key, emission.accumulators); }
};

}  // namespace verge::rules
