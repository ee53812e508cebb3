// verge plan place: workloads onto nodes; or, with --gap, an instance of the generalised assignment problem.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_files.h"
#include "cli/plan_output.h"
#include "planner/conflict.h"
#include "planner/drawing.h"
#include "planner/exact.h"
#include "planner/gap_file.h"
#include "planner/json_text.h"
#include "planner/placement.h"

namespace verge::cli {

namespace {

constexpr size_t kConflictPairs = 5'000'000;  // of agents and jobs; beyond that conflicts are not looked for

struct PlaceOptions {
  PlanFiles files;
  PlanOutput output;
  std::string gap;
  std::string mode = "anytime";
  double seconds = 5;
  unsigned threads = 2;
  uint64_t seed = 1;
  double hysteresis = 0.1;
};

std::string numbers_of(const std::vector<uint32_t>& all) {
  constexpr size_t kNumbersMax = 20;
  const std::vector<uint32_t> first(all.begin(),
                                    all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kNumbersMax)));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     all.size() > kNumbersMax ? fmt::format(" and {} more", all.size() - kNumbersMax) : "");
}

// Which jobs do not fit together. `where`: file and line of the capacities.
Error gap_conflict(const planner::AssignmentProblem& problem, const planner::Conflict& conflict,
                   const std::string& where) {
  const std::string jobs = numbers_of(conflict.jobs);
  if (conflict.agents.empty()) {
    double least = planner::kForbidden;
    for (size_t agent = 0; agent < problem.agents; ++agent) {
      least = std::min(least, problem.weight_of(0, agent, conflict.jobs.front()) - problem.capacity_of(0, agent));
    }
    return {"plan.infeasible",
            fmt::format("{}: no assignment is possible: job {} weighs more than any agent's capacity, by {:g} at least",
                        where, jobs, least),
            "give an agent more capacity, or take the job out"};
  }
  const std::string agents = numbers_of(conflict.agents);
  if (conflict.wanted > 0) {
    return {
        "plan.infeasible",
        fmt::format("{}: no assignment is possible: the {} job(s) {} together want {:g} at least, and the {} "
                    "agent(s) that may have them ({}) have {:g}",
                    where, conflict.jobs.size(), jobs, conflict.wanted, conflict.agents.size(), agents, conflict.there),
        fmt::format("give these agents {:g} more, or take one of the jobs out", conflict.wanted - conflict.there)};
  }
  return {"plan.infeasible",
          fmt::format("{}: no assignment is possible: the {} job(s) {} do not fit together into the {} agent(s) that "
                      "may have them ({})",
                      where, conflict.jobs.size(), jobs, conflict.agents.size(), agents),
          "give one of these agents more capacity, or take one of the jobs out"};
}

// There is none, or none was found.
Error gap_failure(const PlaceOptions& options, const planner::AssignmentProblem& problem,
                  const planner::AnytimeAnswer& answer, const std::string& where) {
  std::optional<planner::Conflict> conflict;
  if (problem.agents * problem.jobs <= kConflictPairs) conflict = planner::find_conflict(problem);
  if (answer.is_proven_infeasible && (!conflict || answer.conflicting_jobs.size() < conflict->jobs.size())) {
    conflict = planner::Conflict{.jobs = answer.conflicting_jobs};
    std::ranges::sort(conflict->jobs);
    for (uint32_t agent = 0; agent < problem.agents; ++agent) conflict->agents.push_back(agent);
  }
  if (conflict) return gap_conflict(problem, *conflict, where);
  return {"plan.infeasible",
          fmt::format("{}: no assignment within all capacities was found, nor a proof that there is none", where),
          options.mode == "exact" ? "give it more --seconds"
                                  : "give it more --seconds; --mode exact proves whether there is one"};
}

int place_gap(const PlaceOptions& options) {
  const Result<std::string> text = read_plan_file(options.gap);
  if (!text) return print_plan_failure(text.error());
  size_t line = 1;
  const Result<planner::AssignmentProblem> problem = planner::parse_gap(*text, options.gap, &line);
  if (!problem) return print_plan_failure(problem.error());
  const std::string where = fmt::format("{}:{}", options.gap, line);
  if (problem->agents * problem->jobs <= kConflictPairs && planner::count_conflict(*problem)) {
    return print_plan_failure(gap_failure(options, *problem, {}, where));  // without a search that cannot succeed
  }
  const planner::AnytimeOptions anytime{
      .time = std::chrono::duration<double>(options.seconds), .threads = options.threads, .seed = options.seed};
  planner::AnytimeAnswer answer;
  if (options.mode == "exact") {
    Result<planner::AnytimeAnswer> solved = planner::solve_exactly(*problem, anytime);
    if (!solved) return print_plan_failure(solved.error());
    answer = std::move(*solved);
  } else {
    answer = planner::solve_anytime(*problem, anytime);
  }
  if (!answer.is_feasible) return print_plan_failure(gap_failure(options, *problem, answer, where));
  const double gap = planner::gap_percent(answer.value, answer.bound);
  planner::JsonText json;
  json.open('{').member("value", answer.value).member("bound", answer.bound).member("gap", gap / 100);
  json.member("gap_percent", gap).member("optimal", answer.is_optimal).member("agents", problem->agents);
  json.member("jobs", problem->jobs).key("assignment").open('[');
  for (const uint32_t agent : answer.assignment) json.value(agent);
  json.close(']').close('}');
  return print_plan(
      options.output,
      {.json = json.text(),
       .table = fmt::format("value {:.10g}, bound {:.10g}, gap {:.4f} %{}\n", answer.value, answer.bound, gap,
                            answer.is_optimal ? ": proven optimal" : ""),
       .explanation = fmt::format(
           "{} agents, {} jobs. No assignment is below the bound (Lagrangian relaxation of \"each "
           "job once\", knapsacks solved exactly{}).\n",
           problem->agents, problem->jobs, options.mode == "exact" ? ", and CBC on what that leaves open" : ""),
       .picture = [&] {
         std::vector<planner::Bar> bars;
         std::vector<double> load(problem->agents, 0);
         for (size_t job = 0; job < problem->jobs; ++job) {
           load[answer.assignment[job]] += problem->weight_of(0, answer.assignment[job], job);
         }
         for (size_t agent = 0; agent < problem->agents; ++agent) {
           const double capacity = problem->capacity_of(0, agent);
           bars.push_back({fmt::format("agent {}", agent), capacity > 0 ? load[agent] / capacity * 100 : 0, 0});
         }
         return planner::draw_bars("Load of each agent", "%", bars);
       }});
}

planner::PlacementMode mode_named(const std::string& name) {
  return name == "greedy"  ? planner::PlacementMode::kGreedy
         : name == "exact" ? planner::PlacementMode::kExact
                           : planner::PlacementMode::kAnytime;
}

std::string placement_json(const planner::PlanDocument& plan, const planner::Placement& placement,
                           const std::string& mode) {
  planner::JsonText json;
  json.open('{').member("mode", mode).member("value", placement.value).member("bound", placement.bound);
  json.member("gap_percent", planner::gap_percent(placement.value, placement.bound));
  json.member("optimal", placement.is_optimal).key("placements").open('[');
  for (const planner::PlacedReplica& replica : placement.replicas) {
    json.open('{').member("workload", plan.workloads[replica.workload].name);
    json.member("node", plan.nodes[replica.node].name).member("estimated_latency", replica.estimated_latency_ms);
    json.member("score", replica.score.score).key("criteria").open('{');
    for (size_t i = 0; i < planner::kCriteria; ++i) json.member(planner::kCriterionNames[i], replica.score.criteria[i]);
    json.close('}').member("network_cost", replica.score.network_cost).close('}');
  }
  json.close(']').key("moves").open('[');
  for (const planner::PlacementMove& move : placement.moves) {
    json.open('{').member("workload", plan.workloads[move.workload].name).member("from", move.from);
    json.member("to", plan.nodes[move.to].name)
        .member("gain_ms", move.gain_ms)
        .member("price_ms", move.price_ms)
        .member("reason", move.reason)
        .close('}');
  }
  return json.close(']').close('}').text();
}

std::string placement_map(const planner::PlanDocument& plan, const planner::Placement& placement) {
  std::vector<planner::MapPoint> points;
  std::vector<planner::MapLine> lines;
  std::vector<std::string> labels(plan.nodes.size());
  for (const planner::PlacedReplica& replica : placement.replicas) {
    std::string& label = labels[replica.node];
    label += (label.empty() ? ": " : ", ") + plan.workloads[replica.workload].name;
    const planner::PlanWorkload& workload = plan.workloads[replica.workload];
    for (const std::string& user : workload.users) {
      const auto index = plan.user_named(user);
      if (index) lines.push_back({plan.users[*index].at, plan.nodes[replica.node].at, 1});
    }
  }
  for (const planner::PlanUser& user : plan.users) points.push_back({user.at, "", 1, 2.5});
  for (size_t node = 0; node < plan.nodes.size(); ++node) {
    points.push_back({plan.nodes[node].at, plan.nodes[node].name + labels[node], labels[node].empty() ? 5 : 0, 4});
  }
  return planner::draw_map("Placement of workloads", points, lines);
}

int place_plan(const PlaceOptions& options) {
  const Result<planner::PlanDocument> plan = read_plan_files(options.files);
  if (!plan) return print_plan_failure(plan.error());
  const Result<planner::Placement> placement =
      planner::place_workloads(*plan, {.mode = mode_named(options.mode),
                                       .time = std::chrono::duration<double>(options.seconds),
                                       .threads = options.threads,
                                       .seed = options.seed,
                                       .hysteresis = options.hysteresis});
  if (!placement) return print_plan_failure(placement.error());
  TextTable table({"workload", "node", "latency ms", "score"});
  for (const planner::PlacedReplica& replica : placement->replicas) {
    table.add({plan->workloads[replica.workload].name, plan->nodes[replica.node].name,
               shown(replica.estimated_latency_ms), shown(replica.score.score, 3)});
  }
  std::string text = table.text();
  text += fmt::format("\nvalue {:.6g}, bound {:.6g}, gap {:.3f} %{}\n", placement->value, placement->bound,
                      planner::gap_percent(placement->value, placement->bound),
                      placement->is_optimal ? ": proven optimal" : "");
  std::string explanation =
      "score = .2 cpu + .2 memory + .25 latency + .15 bandwidth + .1 locality + .05 reliability + .05 cost - network "
      "cost\n"
      "value = sum of latencies + opening costs + prices of moves; no placement is below the bound\n";
  for (const planner::PlacedReplica& replica : placement->replicas) {
    explanation += fmt::format("{} on {}:", plan->workloads[replica.workload].name, plan->nodes[replica.node].name);
    for (size_t i = 0; i < planner::kCriteria; ++i) {
      explanation += fmt::format(" {} {:.2f}", planner::kCriterionNames[i], replica.score.criteria[i]);
    }
    explanation += "\n";
  }
  for (const planner::PlacementMove& move : placement->moves) {
    explanation += fmt::format("move {} {}-> {}: {}\n", plan->workloads[move.workload].name,
                               move.from.empty() ? "" : move.from + " ", plan->nodes[move.to].name, move.reason);
  }
  return print_plan(options.output, {.json = placement_json(*plan, *placement, options.mode),
                                     .table = text,
                                     .explanation = explanation,
                                     .picture = [&] { return placement_map(*plan, *placement); }});
}

}  // namespace

void add_plan_place(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<PlaceOptions>();
  Command* command =
      plan.add_command("place", "Put workloads onto nodes, with a bound on how far from the best that is");
  add_plan_files(*command, options->files, true);
  command
      ->add_option("--gap", options->gap,
                   "Instead of a plan: an instance of the generalised assignment problem, as the OR-Library writes it")
      ->type_name("FILE")
      ->excludes("PLAN", "--nodes", "--users", "--workloads");
  command
      ->add_option("--mode", options->mode, "greedy (a scheduler's), anytime (bound and local search) or exact (CBC)")
      ->check(one_of({"greedy", "anytime", "exact"}))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "How long anytime and exact may take")
      ->check(between<double>(0.01, 86400.0))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "That search")->check(between(1, 256))->capture_default_str();
  command->add_option("--seed", options->seed, "Of the search's random choices")->capture_default_str();
  command
      ->add_option("--hysteresis", options->hysteresis, "Share of its latency that a move must gain beyond its price")
      ->check(between<double>(0.0, 10.0))
      ->capture_default_str();
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan place examples/plan/city.toml --explain\n"
               "  verge plan place examples/plan/city.toml --mode exact --svg placement.svg\n"
               "  verge plan place --gap d20100 --seconds 20 --json\n");
  command->callback([&outcome, options] {
    outcome.run = [options] { return options->gap.empty() ? place_plan(*options) : place_gap(*options); };
  });
}

}  // namespace verge::cli
