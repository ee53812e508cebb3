// The commands of `verge`, each registered by one function in one file. Registering only describes options; what a
// command does starts when Outcome::run is called, after the whole command line was understood.
#pragma once

#include <functional>
#include <string>

#include "cli/command.h"

namespace verge::cli {

// What the command line asks for. Set by the command that was named; returns the exit status.
struct Outcome {
  std::function<int()> run;
};

// Exit statuses, the same for every command.
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;  // it ran and the answer is no, or it could not do its work
inline constexpr int kUsage = 2;    // the command line or a file is wrong; nothing was started

// Headings of `verge --help`.
inline const std::string kGroupNode = "Run a node";
inline const std::string kGroupSeries = "Series";
inline const std::string kGroupTry = "Try and measure";
inline const std::string kGroupPlan = "Plan a fleet";
inline const std::string kGroupShell = "Shell";

void add_node(Command& app, Outcome& outcome);
void add_check(Command& app, Outcome& outcome);
void add_events(Command& app, Outcome& outcome);
void add_spool(Command& app, Outcome& outcome);
void add_spool_key(Command& spool, Outcome& outcome);  // below `verge spool`
void add_cache(Command& app, Outcome& outcome);
void add_cache_sign(Command& cache, Outcome& outcome);  // below `verge cache`
void add_worker(Command& app, Outcome& outcome);
void add_kv(Command& app, Outcome& outcome);
void add_queue(Command& app, Outcome& outcome);
void add_worker_deploys(Command& worker, Outcome& outcome);  // below `verge worker`
void add_detect(Command& app, Outcome& outcome);
void add_reduce(Command& app, Outcome& outcome);
void add_restore(Command& app, Outcome& outcome);
void add_demo(Command& app, Outcome& outcome);
void add_bench(Command& app, Outcome& outcome);
void add_plan(Command& app, Outcome& outcome);
void add_top(Command& app, Outcome& outcome);
void add_doctor(Command& app, Outcome& outcome);
void add_explain(Command& app, Outcome& outcome);
void add_request(Command& app, Outcome& outcome);
void add_manual(Command& app, Outcome& outcome);
void add_completion(Command& app, Outcome& outcome);
void add_version(Command& app, Outcome& outcome);

}  // namespace verge::cli
