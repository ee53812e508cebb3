// Which way each of some recorded readings takes through a rule: urgent → act; complex → up; significant → aggregate;
// else discard. It is what the rule does with the reading, and why, by what the rule states of it.
#pragma once

#include <string>

#include "base/error.h"
#include "node/config.h"

namespace verge::cli {

struct ReadingWays {
  std::string with;  // recorded messages, one JSON object a line; "-": standard input
  std::string rule;  // empty: all
  bool json = false;
};

// To stdout, a line a reading and rule whose topic matches it. The rules of `config` compile. Errors: those of the
// input.
Result<void> print_ways(const node::Config& config, const ReadingWays& options);

}  // namespace verge::cli
