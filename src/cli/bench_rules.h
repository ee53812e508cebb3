// `verge rules bench`: how many rules a second one core tests, how long a decision through many takes, how fast and in
// how much memory rules load. In this process, without a network.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/metrics.h"

namespace verge::cli {

struct RuleBenchOptions {
  uint64_t rules = 300;  // whose filters all match, each with a predicate of its own
  uint64_t decision_rules = 1000;
  uint64_t loaded_rules = 10'000;
  double seconds = 2;
};

struct RuleBenchFigures {
  double evaluations_a_second = 0;  // one message tested by one rule whose filter matches
  double messages_a_second = 0;
  double rows_a_second = 0;
  Histogram::Snapshot decision;  // from the payload to the last action, of a message that meets all rules
  double load_seconds = 0;
  double bytes_a_rule = 0;
};

Result<RuleBenchFigures> bench_rules(const RuleBenchOptions& options);
std::string text_of(const RuleBenchOptions& options, const RuleBenchFigures& figures);
std::string json_of(const RuleBenchOptions& options, const RuleBenchFigures& figures);

}  // namespace verge::cli
