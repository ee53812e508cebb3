// verge plan replicate: where replicas go, and which shard has which key.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_files.h"
#include "cli/plan_output.h"
#include "planner/assignment_problem.h"
#include "planner/drawing.h"
#include "planner/json_text.h"
#include "planner/plan_latencies.h"
#include "planner/replicas.h"
#include "planner/sharding.h"

namespace verge::cli {

namespace {

struct ReplicateOptions {
  PlanFiles files;
  PlanOutput output;
  size_t replicas_max = 10;
  double storage_cost = 10'000;
  double replica_cost = 1000;
  double lag_ms = 100;
  double coverage_ms = 50;
  std::string sharding;
  size_t keys = 100'000;
  double slack = planner::kUsualSlack;
};

planner::ReplicaProblem problem_of(const planner::PlanDocument& plan, const ReplicateOptions& options) {
  const planner::PlanLatencies latencies(plan);
  planner::ReplicaProblem problem{.nodes = plan.nodes.size(),
                                  .users = plan.users.size(),
                                  .replicas_max = options.replicas_max,
                                  .storage_cost_max = options.storage_cost,
                                  .lag_max_ms = options.lag_ms,
                                  .coverage_ms = options.coverage_ms};
  for (size_t node = 0; node < problem.nodes; ++node) {
    for (size_t user = 0; user < problem.users; ++user) {
      problem.latency_ms.push_back(latencies.between_user_and_node(user, node).milliseconds);
    }
    for (size_t other = 0; other < problem.nodes; ++other) {
      problem.between_ms.push_back(latencies.between_nodes(node, other).milliseconds / 2);
    }
    const double own = plan.nodes[node].storage_cost;
    problem.storage_cost.push_back(own > 0 ? own : options.replica_cost);
  }
  for (const planner::PlanUser& user : plan.users) problem.weight.push_back(user.weight);
  return problem;
}

int place_replicas(const ReplicateOptions& options, const planner::PlanDocument& plan) {
  const planner::ReplicaProblem problem = problem_of(plan, options);
  const Result<planner::ReplicaPlan> answer = planner::place_replicas(problem);
  if (!answer) return print_plan_failure(answer.error());
  const double gap = planner::gap_percent(answer->mean_latency_ms, answer->bound_ms);
  planner::JsonText json;
  json.open('{').key("replicas").open('[');
  for (const uint32_t node : answer->replicas) json.value(plan.nodes[node].name);
  json.close(']').member("primary", plan.nodes[answer->replicas.front()].name);
  json.member("mean_latency_ms", answer->mean_latency_ms)
      .member("bound_ms", answer->bound_ms)
      .member("gap_percent", gap);
  json.member("lag_ms", answer->lag_ms).member("storage_cost_per_month", answer->storage_cost);
  json.member("coverage", answer->coverage).member("single_replica_latency_ms", answer->single_latency_ms);
  json.member("single_replica_coverage", answer->single_coverage);
  json.member("coverage_improvement", answer->coverage - answer->single_coverage);
  json.key("serves").open('{');
  for (size_t user = 0; user < plan.users.size(); ++user)
    json.member(plan.users[user].name, plan.nodes[answer->serves[user]].name);
  json.close('}').close('}');
  TextTable table({"replica", "lag ms", "$ a month", "users"});
  for (const uint32_t node : answer->replicas) {
    size_t served = 0;
    for (const uint32_t by : answer->serves) served += by == node ? 1 : 0;
    table.add({plan.nodes[node].name, shown(problem.between_ms[answer->replicas[0] * problem.nodes + node]),
               shown(problem.storage_cost[node], 0), fmt::format("{}", served)});
  }
  return print_plan(
      options.output,
      {.json = json.text(),
       .table = table.text() +
                fmt::format(
                    "\nmean latency {:.2f} ms (bound {:.2f}, gap {:.2f} %; one replica: {:.2f}), lag {:.1f} ms, "
                    "${:.0f} a month\ncoverage within {:g} ms: {:.1f} % instead of {:.1f} %\n",
                    answer->mean_latency_ms, answer->bound_ms, gap, answer->single_latency_ms, answer->lag_ms,
                    answer->storage_cost, options.coverage_ms, answer->coverage * 100, answer->single_coverage * 100),
       .explanation = fmt::format("k-median of the users' accesses: greedy, then exchanges until none helps; at most "
                                  "{} replicas, ${:g} a month "
                                  "together, {:g} ms one way from the first replica\n",
                                  options.replicas_max, options.storage_cost, options.lag_ms),
       .picture = [&] {
         std::vector<planner::MapPoint> points;
         std::vector<planner::MapLine> lines;
         for (size_t user = 0; user < plan.users.size(); ++user) {
           points.push_back({plan.users[user].at, "", 5, 2});
           lines.push_back(
               {plan.users[user].at, plan.nodes[answer->serves[user]].at, static_cast<int>(answer->serves[user])});
         }
         for (const uint32_t node : answer->replicas)
           points.push_back({plan.nodes[node].at, plan.nodes[node].name, static_cast<int>(node), 6});
         return planner::draw_map("Replicas", points, lines);
       }});
}

struct ShardReport {
  planner::Sharding sharding;
  double moves_when_one_leaves = 0;  // share of the keys
};

ShardReport shard(const ReplicateOptions& options, const planner::PlanDocument& plan) {
  std::vector<std::string> names;
  std::vector<planner::Coordinates> places;
  for (const planner::PlanNode& node : plan.nodes) {
    names.push_back(node.name);
    places.push_back(node.at);
  }
  std::vector<planner::Coordinates> keys;
  for (const planner::PlanUser& user : plan.users) keys.push_back(user.at);
  const bool by_hash = options.sharding == "hash";
  ShardReport report{.sharding = by_hash ? planner::hash_keys(names, options.keys, options.slack)
                                         : planner::partition_by_place(places, keys, options.slack)};
  if (names.size() < 2) return report;
  const std::vector<std::string> fewer_names(names.begin(), names.end() - 1);
  const std::span<const planner::Coordinates> fewer(places.data(), places.size() - 1);
  const planner::Sharding after = by_hash ? planner::hash_keys(fewer_names, options.keys, options.slack)
                                          : planner::partition_by_place(fewer, keys, options.slack);
  const size_t moves = planner::moves_between(report.sharding, names, after, fewer_names);
  report.moves_when_one_leaves =
      report.sharding.shard_of.empty()
          ? 0
          : static_cast<double>(moves) / static_cast<double>(report.sharding.shard_of.size());
  return report;
}

int place_shards(const ReplicateOptions& options, const planner::PlanDocument& plan) {
  const ShardReport report = shard(options, plan);
  planner::JsonText json;
  json.open('{').member("sharding", options.sharding).member("keys", report.sharding.shard_of.size());
  json.member("imbalance", report.sharding.imbalance).member("moves_when_one_leaves", report.moves_when_one_leaves);
  json.key("shards").open('{');
  TextTable table({"shard", "keys"});
  std::vector<planner::Bar> bars;
  for (size_t node = 0; node < plan.nodes.size(); ++node) {
    json.member(plan.nodes[node].name, report.sharding.keys_of[node]);
    table.add({plan.nodes[node].name, fmt::format("{}", report.sharding.keys_of[node])});
    bars.push_back({plan.nodes[node].name, static_cast<double>(report.sharding.keys_of[node]), 0});
  }
  json.close('}').close('}');
  return print_plan(
      options.output,
      {.json = json.text(),
       .table = table.text() +
                fmt::format("\nimbalance (largest/mean) {:.3f}; {:.1f} % of the keys move when {} leaves\n",
                            report.sharding.imbalance, report.moves_when_one_leaves * 100, plan.nodes.back().name),
       .explanation = fmt::format(
           "no shard has more than {:g} times the mean; hash: consistent hashing with bounded loads; geo: the "
           "nearest shard with room, keys that lose most elsewhere first\n",
           1 + options.slack),
       .picture = [&] { return planner::draw_bars("Keys of each shard", "keys", bars); }});
}

int run_replicate(const ReplicateOptions& options) {
  const Result<planner::PlanDocument> plan = read_plan_files(options.files);
  if (!plan) return print_plan_failure(plan.error());
  if (plan->nodes.empty())
    return print_plan_failure(plan->missing("node for a replica", "add [[node]] tables or --nodes"));
  if (plan->users.empty() && options.sharding != "hash") {
    return print_plan_failure(plan->missing("user to be near to", "add [[user]] tables or --users"));
  }
  return options.sharding.empty() ? place_replicas(options, *plan) : place_shards(options, *plan);
}

}  // namespace

void add_plan_replicate(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<ReplicateOptions>();
  Command* command = plan.add_command("replicate", "Place replicas by who reads where, or spread keys over shards");
  add_plan_files(*command, options->files, false);
  command->add_option("--replicas-max", options->replicas_max, "At most so many")
      ->check(between(size_t{1}, size_t{1000}))
      ->capture_default_str();
  command->add_option("--storage-cost", options->storage_cost, "Dollars a month that all replicas may cost")
      ->check(between<double>(0.0, 1e12))
      ->capture_default_str();
  command->add_option("--replica-cost", options->replica_cost, "Dollars a month for one, where its node does not say")
      ->check(between<double>(0.0, 1e12))
      ->capture_default_str();
  command->add_option("--lag", options->lag_ms, "ms that a replica may lag behind the first")
      ->check(between<double>(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--coverage", options->coverage_ms, "ms within which a user counts as covered")
      ->check(between<double>(0.0, 1e6))
      ->capture_default_str();
  command
      ->add_option("--sharding", options->sharding, "Spread keys over all nodes instead: hash or geo (a user is a key)")
      ->check(one_of({"hash", "geo"}));
  command->add_option("--keys", options->keys, "That are hashed")
      ->check(between(size_t{1}, size_t{10'000'000}))
      ->capture_default_str();
  command->add_option("--slack", options->slack, "Share of the mean that a shard may have more")
      ->check(between<double>(0.0, 100.0))
      ->capture_default_str();
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan replicate --nodes aws --users cities --replicas-max 4\n"
               "  verge plan replicate examples/plan/city.toml --sharding hash --json\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_replicate(*options); }; });
}

}  // namespace verge::cli
