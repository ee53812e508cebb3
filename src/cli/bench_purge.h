// `verge bench purge`: what a purge of one tag takes that covers all answers of a store, and what tags cost a hit. In
// this process, on one thread, through the production Store and Purges.
#pragma once

#include <cstdint>
#include <string>

namespace verge::cli {

struct PurgeBenchOptions {
  uint64_t answers = 1'000'000;
  uint64_t tags = 100;  // an answer: one that all have, the others of its own
};

struct PurgeBenchFigures {
  uint64_t answers = 0;
  uint64_t tags = 0;
  double purge_us = 0;             // from the call to its effect
  uint64_t served_after = 0;       // of all answers
  double hit_ns = 0;               // with so many tags
  double hit_without_tags_ns = 0;  // with none
  double first_hit_ns = 0;         // the first one of each after a purge of another tag: all tags are looked up
  uint64_t memory_bytes = 0;       // what the store counts
};

PurgeBenchFigures bench_purge(const PurgeBenchOptions& options);

std::string text_of(const PurgeBenchFigures& figures);
std::string json_of(const PurgeBenchFigures& figures);

}  // namespace verge::cli
