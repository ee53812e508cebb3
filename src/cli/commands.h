// The commands of `verge`, each registered by one function in one file. Registering only describes options; what a
// command does starts when Outcome::run is called, after the whole command line was understood.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

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

void add_node(CLI::App& app, Outcome& outcome);
void add_check(CLI::App& app, Outcome& outcome);
void add_events(CLI::App& app, Outcome& outcome);
void add_spool(CLI::App& app, Outcome& outcome);
void add_spool_key(CLI::App& spool, Outcome& outcome);  // below `verge spool`
void add_cache(CLI::App& app, Outcome& outcome);
void add_cache_sign(CLI::App& cache, Outcome& outcome);  // below `verge cache`
void add_worker(CLI::App& app, Outcome& outcome);
void add_kv(CLI::App& app, Outcome& outcome);
void add_worker_deploys(CLI::App& worker, Outcome& outcome);  // below `verge worker`
void add_detect(CLI::App& app, Outcome& outcome);
void add_reduce(CLI::App& app, Outcome& outcome);
void add_restore(CLI::App& app, Outcome& outcome);
void add_demo(CLI::App& app, Outcome& outcome);
void add_bench(CLI::App& app, Outcome& outcome);
void add_plan(CLI::App& app, Outcome& outcome);
void add_top(CLI::App& app, Outcome& outcome);
void add_doctor(CLI::App& app, Outcome& outcome);
void add_explain(CLI::App& app, Outcome& outcome);
void add_manual(CLI::App& app, Outcome& outcome);
void add_completion(CLI::App& app, Outcome& outcome);
void add_version(CLI::App& app, Outcome& outcome);

}  // namespace verge::cli
