#include "planner/placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/text.h"
#include "planner/conflict.h"
#include "planner/exact.h"
#include "planner/lagrangian.h"
#include "planner/plan_latencies.h"
#include "planner/priced_bound.h"
#include "planner/replanning.h"

namespace verge::planner {

namespace {

constexpr int kGreedyBoundSteps = 300;
constexpr size_t kGreedyBoundPairs = 200'000;
constexpr size_t kConflictPairs = 5'000'000;  // of replicas and nodes; beyond that conflicts are not looked for
constexpr size_t kNamesMax = 8;               // in a message
constexpr std::array<const char*, 3> kResourceNames = {"cpu", "memory_gb", "bandwidth_mbps"};

// The plan in the words of the scheduler and of the programme.
class Placing {
 public:
  explicit Placing(const PlanDocument& plan) : plan_(plan), latencies_(plan) {
    std::map<std::string, uint32_t> zones;
    for (const PlanNode& node : plan.nodes) {
      const uint32_t zone = zones.emplace(node.zone, static_cast<uint32_t>(zones.size())).first->second;
      // What a node already carries is not there to be given.
      const double free = std::max(0.0, 1 - node.load);
      nodes_.push_back({.cpu = node.cpu * free,
                        .memory = node.memory_gb * free,
                        .bandwidth = node.bandwidth_mbps,
                        .uptime = node.uptime,
                        .cost = node.cost,
                        .zone = zone});
    }
    zones_ = static_cast<uint32_t>(zones.size());
    for (size_t i = 0; i < plan.workloads.size(); ++i) read_workload(i);
  }

  [[nodiscard]] const std::vector<SchedulerNode>& nodes() const { return nodes_; }
  [[nodiscard]] const std::vector<SchedulerWorkload>& workloads() const { return workloads_; }
  [[nodiscard]] const std::vector<uint32_t>& workload_of_job() const { return workload_of_job_; }

  // The programme; with prices of moves, but for them.
  [[nodiscard]] AssignmentProblem programme(double hysteresis, bool with_moves) const {
    AssignmentProblem problem;
    problem.agents = nodes_.size();
    problem.jobs = workload_of_job_.size();
    problem.resources = 3;
    problem.cost.resize(problem.agents * problem.jobs);
    problem.weight.resize(3 * problem.agents * problem.jobs);
    const Scheduler empty(nodes_);
    bool opens = false;
    for (size_t node = 0; node < nodes_.size(); ++node) {
      for (size_t job = 0; job < problem.jobs; ++job) {
        const uint32_t name = workload_of_job_[job];
        const SchedulerWorkload& workload = workloads_[name];
        const size_t at = node * problem.jobs + job;
        const bool may = empty.violated(static_cast<uint32_t>(node), name, workload) == 0;
        problem.cost[at] =
            may ? workload.latency[node] + (with_moves ? price_of_move(name, node, hysteresis) : 0) : kForbidden;
        problem.weight[at] = workload.cpu;
        problem.weight[problem.agents * problem.jobs + at] = workload.memory;
        problem.weight[2 * problem.agents * problem.jobs + at] = workload.bandwidth;
      }
      problem.opening.push_back(plan_.nodes[node].opening_cost);
      opens = opens || problem.opening.back() > 0;
    }
    if (!opens) problem.opening.clear();
    for (const SchedulerNode& node : nodes_) problem.capacity.push_back(node.cpu);
    for (const SchedulerNode& node : nodes_) problem.capacity.push_back(node.memory);
    for (const SchedulerNode& node : nodes_) problem.capacity.push_back(node.bandwidth);
    add_spreads(problem);
    return problem;
  }

  [[nodiscard]] double opening_cost(size_t node) const { return plan_.nodes[node].opening_cost; }

  [[nodiscard]] bool runs_on(uint32_t workload, size_t node) const {
    return std::ranges::binary_search(current_[workload], static_cast<uint32_t>(node));
  }

  // What a replica of the workload on the node costs beyond its latency: nothing where the workload runs, or is new.
  [[nodiscard]] double price_of_move(uint32_t workload, size_t node, double hysteresis) const {
    if (current_[workload].empty() || runs_on(workload, node)) return 0;
    return move_price(workload, hysteresis);
  }

  // Of one move of a workload that runs somewhere: its own price, and the hysteresis of its latency.
  [[nodiscard]] double move_price(uint32_t workload, double hysteresis) const {
    return plan_.workloads[workload].move_cost + hysteresis * current_latency_[workload];
  }

  // What replicas beyond those that run are charged as moves, though they are new: the same in every placement.
  [[nodiscard]] double charged_for_new(double hysteresis) const {
    double charged = 0;
    for (uint32_t i = 0; i < workloads_.size(); ++i) {
      const size_t running = current_[i].size();
      if (running == 0 || running >= workloads_[i].replicas) continue;
      charged += static_cast<double>(workloads_[i].replicas - running) * move_price(i, hysteresis);
    }
    return charged;
  }

  // The nodes that it runs on, in rising order.
  [[nodiscard]] const std::vector<uint32_t>& current_of(uint32_t workload) const { return current_[workload]; }

 private:
  // Names are checked where the plan is read.
  static size_t known(const std::optional<size_t>& index) {
    VERGE_ASSERT(index.has_value());
    return *index;
  }

  void read_workload(size_t index) {
    const PlanWorkload& from = plan_.workloads[index];
    std::vector<size_t> users;
    for (const std::string& name : from.users) users.push_back(known(plan_.user_named(name)));
    if (users.empty()) {
      users.resize(plan_.users.size());
      std::iota(users.begin(), users.end(), size_t{0});
    }
    std::vector<uint32_t> data;
    for (const std::string& name : from.data) data.push_back(static_cast<uint32_t>(known(plan_.node_named(name))));
    const std::vector<float>& to_users = row_of(users);
    std::vector<float>& rows = latency_rows_.emplace_back(to_users);
    std::vector<float>& distances = data_rows_.emplace_back(data.empty() ? 0 : nodes_.size(), 0.F);
    for (size_t node = 0; node < nodes_.size() && !data.empty(); ++node) {
      double nearest = 1e300;
      for (const uint32_t holder : data)
        nearest = std::min(nearest, latencies_.between_nodes(holder, node).milliseconds);
      distances[node] = static_cast<float>(nearest);
      rows[node] += static_cast<float>(nearest);
    }
    std::vector<uint32_t> apart;
    for (const std::string& name : from.apart_from) {
      const auto other = std::ranges::find(plan_.workloads, name, &PlanWorkload::name);
      apart.push_back(static_cast<uint32_t>(other - plan_.workloads.begin()));
    }
    workloads_.push_back({.cpu = from.cpu,
                          .memory = from.memory_gb,
                          .bandwidth = from.bandwidth_mbps,
                          .latency_max = from.latency_max_ms,
                          .uptime_min = from.uptime_min,
                          .replicas = from.replicas,
                          .spread_over_zones = from.spread_over_zones,
                          .latency = rows,
                          .data_distance = distances,
                          .data = std::move(data),
                          .apart_from = std::move(apart)});
    read_current(from);
    jobs_of_.emplace_back();
    for (unsigned replica = 0; replica < from.replicas; ++replica) {
      jobs_of_.back().push_back(static_cast<uint32_t>(workload_of_job_.size()));
      workload_of_job_.push_back(static_cast<uint32_t>(index));
    }
  }

  void read_current(const PlanWorkload& from) {
    std::vector<uint32_t>& nodes = current_.emplace_back();
    double least = 1e300;
    for (const std::string& name : from.current) {
      nodes.push_back(static_cast<uint32_t>(known(plan_.node_named(name))));
      least = std::min<double>(least, workloads_.back().latency[nodes.back()]);
    }
    current_latency_.push_back(nodes.empty() ? 0 : least);
    std::ranges::sort(nodes);
    const auto repeated = std::ranges::unique(nodes);
    nodes.erase(repeated.begin(), repeated.end());
  }

  // The weighted mean round trip from the users to each node; worked out once for each set of users.
  const std::vector<float>& row_of(const std::vector<size_t>& users) {
    const auto [entry, fresh] = rows_of_users_.try_emplace(users);
    if (!fresh) return entry->second;
    for (size_t node = 0; node < nodes_.size(); ++node) {
      double sum = 0;
      double weights = 0;
      for (const size_t user : users) {
        sum += plan_.users[user].weight * latencies_.between_user_and_node(user, node).milliseconds;
        weights += plan_.users[user].weight;
      }
      entry->second.push_back(static_cast<float>(weights > 0 ? sum / weights : 0));
    }
    return entry->second;
  }

  void add_spreads(AssignmentProblem& problem) const {
    std::vector<uint32_t> by_node(nodes_.size());
    std::iota(by_node.begin(), by_node.end(), 0U);
    std::vector<uint32_t> by_zone;
    for (const SchedulerNode& node : nodes_) by_zone.push_back(node.zone);
    for (size_t i = 0; i < workloads_.size(); ++i) {
      if (jobs_of_[i].size() > 1) {
        const bool zones = workloads_[i].spread_over_zones;
        problem.spreads.push_back({.jobs = jobs_of_[i],
                                   .domain_of_agent = zones ? by_zone : by_node,
                                   .domains = zones ? zones_ : static_cast<uint32_t>(nodes_.size()),
                                   .most = 1});
      }
      for (const uint32_t other : workloads_[i].apart_from) {
        if (other == i) continue;
        for (const uint32_t mine : jobs_of_[i]) {
          for (const uint32_t theirs : jobs_of_[other]) {
            problem.spreads.push_back({.jobs = {mine, theirs},
                                       .domain_of_agent = by_node,
                                       .domains = static_cast<uint32_t>(nodes_.size()),
                                       .most = 1});
          }
        }
      }
    }
  }

  const PlanDocument& plan_;
  PlanLatencies latencies_;
  std::vector<SchedulerNode> nodes_;
  uint32_t zones_ = 0;
  std::vector<SchedulerWorkload> workloads_;
  std::map<std::vector<size_t>, std::vector<float>> rows_of_users_;
  std::deque<std::vector<float>> latency_rows_;
  std::deque<std::vector<float>> data_rows_;
  std::vector<uint32_t> workload_of_job_;
  std::vector<std::vector<uint32_t>> jobs_of_;
  std::vector<std::vector<uint32_t>> current_;
  std::vector<double> current_latency_;  // the least of those where it runs
};

std::unexpected<Error> infeasible(const PlanWorkload& workload, const std::string& conflict) {
  return fail("plan.infeasible",
              fmt::format("{}: workload '{}' fits nowhere; what cannot be kept together: {}", workload.origin.text(),
                          printable(workload.name), conflict),
              "relax one of them, or add a node that keeps them all");
}

template <typename Name>
std::string listed(const std::vector<uint32_t>& all, const Name& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(all.size(), kNamesMax); ++i) names.push_back(name(all[i]));
  if (all.size() > kNamesMax) names.push_back(fmt::format("{} more", all.size() - kNamesMax));
  return fmt::format("{}", fmt::join(names, ", "));
}

// The workloads that cannot all be placed, each with its line, what they share and what keeps them apart.
// `proven`: replicas that a solver proved not to fit together, if one did.
std::optional<Error> named_conflict(const PlanDocument& plan, const Placing& placing,
                                    const std::vector<uint32_t>& proven = {}) {
  if (placing.workload_of_job().size() * placing.nodes().size() > kConflictPairs) return {};
  const AssignmentProblem programme = placing.programme(0, false);
  std::optional<Conflict> conflict = find_conflict(programme);
  if (!proven.empty() && (!conflict || proven.size() < conflict->jobs.size())) {
    conflict = Conflict{.jobs = proven, .is_about_spreads = !programme.spreads.empty()};
    for (uint32_t resource = 0; resource < programme.resources; ++resource) conflict->resources.push_back(resource);
    for (uint32_t node = 0; node < programme.agents; ++node) {
      const bool suits_one =
          std::ranges::any_of(proven, [&](uint32_t job) { return std::isfinite(programme.cost_of(node, job)); });
      if (suits_one) conflict->agents.push_back(node);
    }
  }
  if (!conflict || conflict->agents.empty()) return {};
  std::map<uint32_t, unsigned> replicas;
  for (const uint32_t job : conflict->jobs) ++replicas[placing.workload_of_job()[job]];
  std::vector<uint32_t> workloads;
  for (const auto& [workload, count] : replicas) workloads.push_back(workload);
  const std::string who = listed(workloads, [&](uint32_t name) {
    const PlanWorkload& workload = plan.workloads[name];
    const unsigned count = replicas[name];
    return fmt::format("'{}' ({}{})", printable(workload.name), workload.origin.text(),
                       count > 1 ? fmt::format(", {} replicas", count) : "");
  });
  const std::string where =
      listed(conflict->agents, [&](uint32_t node) { return fmt::format("{}", printable(plan.nodes[node].name)); });
  const std::string line = plan.workloads[workloads.front()].origin.text();
  if (conflict->there > 0 || conflict->wanted > 0) {
    const char* const resource = kResourceNames[conflict->resources.front()];
    return Error{"plan.infeasible",
                 fmt::format("{}: {} together want {:g} of {}; the {} node(s) that suit them ({}) have {:g} free", line,
                             who, conflict->wanted, resource, conflict->agents.size(), where, conflict->there),
                 fmt::format("give these nodes {:g} more of {}, let one of the workloads onto others, or take one out",
                             conflict->wanted - conflict->there, resource)};
  }
  std::vector<std::string> reasons;
  for (const uint32_t resource : conflict->resources) reasons.emplace_back(kResourceNames[resource]);
  if (conflict->is_about_spreads) reasons.emplace_back("replicas, spread_over_zones or apart_from");
  return Error{"plan.infeasible",
               fmt::format("{}: {} cannot all be placed on the {} node(s) that suit them ({}); in the way: {}", line,
                           who, conflict->agents.size(), where, fmt::join(reasons, " and ")),
               "add a node that suits one of them, relax what is in the way, or take one of them out"};
}

// What no assignment can change: a workload that fits on no empty node, and sums beyond all capacity.
Result<void> check_possible(const PlanDocument& plan, const Placing& placing) {
  const Scheduler empty(placing.nodes());
  std::array<double, 3> wanted{};
  std::array<double, 3> there{};
  for (const SchedulerNode& node : placing.nodes()) {
    there[0] += node.cpu;
    there[1] += node.memory;
    there[2] += node.bandwidth;
  }
  for (uint32_t i = 0; i < placing.workloads().size(); ++i) {
    const SchedulerWorkload& workload = placing.workloads()[i];
    std::vector<uint32_t> zones;
    size_t candidates = 0;
    for (uint32_t node = 0; node < placing.nodes().size(); ++node) {
      if (empty.violated(node, i, workload) != 0) continue;
      ++candidates;
      zones.push_back(placing.nodes()[node].zone);
    }
    if (candidates == 0) return infeasible(plan.workloads[i], smallest_conflict(empty, i, workload));
    std::ranges::sort(zones);
    const auto repeated = std::ranges::unique(zones);
    const auto domains =
        workload.spread_over_zones ? static_cast<size_t>(repeated.begin() - zones.begin()) : candidates;
    if (domains < workload.replicas) {
      return infeasible(plan.workloads[i], fmt::format("{} replicas and {} {} that suit it", workload.replicas, domains,
                                                       workload.spread_over_zones ? "zone(s)" : "node(s)"));
    }
    wanted[0] += workload.cpu * workload.replicas;
    wanted[1] += workload.memory * workload.replicas;
    wanted[2] += workload.bandwidth * workload.replicas;
  }
  for (size_t resource = 0; resource < 3; ++resource) {
    if (wanted[resource] <= there[resource] * (1 + 1e-9)) continue;
    if (std::optional<Error> conflict = named_conflict(plan, placing)) return std::unexpected(*conflict);
    return fail(
        "plan.infeasible",
        fmt::format("{}: all workloads together want {:g} of {}, all nodes have {:g} free",
                    plan.workloads.front().origin.text(), wanted[resource], kResourceNames[resource], there[resource]),
        "add nodes, or take workloads out");
  }
  return {};
}

void explain_moves(const PlanDocument& plan, const Placing& placing, double hysteresis, Placement& placement) {
  std::map<size_t, std::vector<uint32_t>> left;  // of each workload, the nodes that it leaves, the nearest last
  for (uint32_t i = 0; i < plan.workloads.size(); ++i) {
    if (placing.current_of(i).empty()) continue;
    left[i] = placing.current_of(i);
    std::ranges::sort(left[i], std::ranges::greater(),
                      [&](uint32_t node) { return placing.workloads()[i].latency[node]; });
  }
  for (const PlacedReplica& replica : placement.replicas) {
    if (left.contains(replica.workload)) std::erase(left[replica.workload], static_cast<uint32_t>(replica.node));
  }
  for (const PlacedReplica& replica : placement.replicas) {
    if (placing.runs_on(static_cast<uint32_t>(replica.workload), replica.node)) continue;
    PlacementMove move{.workload = replica.workload,
                       .from = {},
                       .to = replica.node,
                       .gain_ms = 0,
                       .price_ms = 0,
                       .reason = "it is new"};
    if (const auto nodes = left.find(replica.workload); nodes != left.end() && !nodes->second.empty()) {
      const uint32_t from = nodes->second.back();
      nodes->second.pop_back();
      move.from = plan.nodes[from].name;
      const SchedulerWorkload& workload = placing.workloads()[replica.workload];
      move.gain_ms = workload.latency[from] - replica.estimated_latency_ms;
      const Scheduler empty(placing.nodes());
      const bool suits = empty.violated(from, static_cast<uint32_t>(replica.workload), workload) == 0;
      move.price_ms = placing.move_price(static_cast<uint32_t>(replica.workload), hysteresis);
      move.reason =
          !suits ? fmt::format("{} no longer suits it", move.from)
          : move.gain_ms > move.price_ms
              ? fmt::format("{:.1f} ms less, beyond the {:.1f} ms that the move costs", move.gain_ms, move.price_ms)
              : fmt::format("{} is needed for others", move.from);
    }
    placement.moves.push_back(std::move(move));
  }
}

// From where workloads run, if any does; nothing when that leaves no room for somebody.
std::optional<Assignment> place_from_current(const PlanDocument& plan, const Placing& placing, double hysteresis) {
  if (std::ranges::all_of(plan.workloads, [](const PlanWorkload& workload) { return workload.current.empty(); })) {
    return {};
  }
  std::vector<std::vector<uint32_t>> current;
  std::vector<double> prices;
  for (uint32_t i = 0; i < plan.workloads.size(); ++i) {
    current.push_back(placing.current_of(i));
    prices.push_back(current.back().empty() ? 0 : placing.move_price(i, hysteresis));
  }
  const auto price = [&](uint32_t workload, uint32_t node) {
    return placing.runs_on(workload, node) ? 0 : prices[workload];
  };
  const auto placed =
      replan({.nodes = placing.nodes(), .workloads = placing.workloads(), .current = current, .price = price});
  if (!placed) return {};
  Assignment assignment;
  for (const std::vector<uint32_t>& nodes : *placed) assignment.insert(assignment.end(), nodes.begin(), nodes.end());
  return assignment;
}

// The scheduler's answer, workload by workload.
Result<Assignment> place_greedily(const PlanDocument& plan, const Placing& placing, double hysteresis) {
  if (std::optional<Assignment> assignment = place_from_current(plan, placing, hysteresis)) return *assignment;
  Scheduler scheduler(placing.nodes());
  Assignment assignment;
  for (uint32_t i = 0; i < placing.workloads().size(); ++i) {
    const std::vector<NodeScore> scores = scheduler.place(i, placing.workloads()[i]);
    if (scores.empty()) {
      if (std::optional<Error> conflict = named_conflict(plan, placing)) return std::unexpected(*conflict);
      return infeasible(plan.workloads[i], smallest_conflict(scheduler, i, placing.workloads()[i]) +
                                               ", after the workloads before it; --mode anytime looks further");
    }
    for (const NodeScore& score : scores) assignment.push_back(score.node);
  }
  return assignment;
}

// A large programme is not written down for the sake of a bound.
void bound_greedy(const Placing& placing, const Assignment& assignment, double hysteresis, Placement& placement) {
  const size_t pairs = assignment.size() * placing.nodes().size();
  if (pairs <= kGreedyBoundPairs) {
    const AssignmentProblem programme = placing.programme(hysteresis, true);
    placement.value = value_of_assignment(programme, assignment);
    Lagrangian lagrangian(programme);
    for (int step = 0; step < kGreedyBoundSteps && lagrangian.step(placement.value); ++step) {
    }
    placement.bound = std::min(lagrangian.bound(), placement.value);
    return;
  }
  std::vector<bool> is_open(placing.nodes().size(), false);
  for (size_t job = 0; job < assignment.size(); ++job) {
    const SchedulerWorkload& workload = placing.workloads()[placing.workload_of_job()[job]];
    placement.value += workload.latency[assignment[job]];
    placement.value += placing.price_of_move(placing.workload_of_job()[job], assignment[job], hysteresis);
    if (!is_open[assignment[job]]) placement.value += placing.opening_cost(assignment[job]);
    is_open[assignment[job]] = true;
  }
  placement.bound = std::min(priced_bound(placing.nodes(), placing.workloads(), placement.value), placement.value);
}

Result<AnytimeAnswer> solve_programme(const PlanDocument& plan, const Placing& placing,
                                      const PlacementOptions& options) {
  const AssignmentProblem programme = placing.programme(options.hysteresis, true);
  const AnytimeOptions anytime{.time = options.time, .threads = options.threads, .seed = options.seed};
  Result<AnytimeAnswer> answer =
      options.mode == PlacementMode::kExact ? solve_exactly(programme, anytime) : solve_anytime(programme, anytime);
  if (!answer || answer->is_feasible) return answer;
  if (std::optional<Error> conflict = named_conflict(plan, placing, answer->conflicting_jobs)) {
    return std::unexpected(*conflict);
  }
  const std::string where = plan.workloads.front().origin.text();
  if (answer->is_proven_infeasible) {
    return fail("plan.infeasible", fmt::format("{}: no placement keeps capacities, limits and spreads together", where),
                "relax a limit, add nodes, or take a workload out");
  }
  return fail("plan.infeasible",
              fmt::format("{}: no placement was found that keeps capacities, limits and spreads together, nor a proof "
                          "that there is none",
                          where),
              "give it more --seconds, relax a limit, or take a workload out; --mode exact proves");
}

}  // namespace

Result<Placement> place_workloads(const PlanDocument& plan, const PlacementOptions& options) {
  if (plan.nodes.empty()) {
    return std::unexpected(plan.missing("node to place anything on", "add [[node]] tables or --nodes"));
  }
  if (plan.users.empty()) return std::unexpected(plan.missing("user to be near to", "add [[user]] tables or --users"));
  if (plan.workloads.empty()) {
    return std::unexpected(plan.missing("workload to place", "add [[workload]] tables or --workloads"));
  }
  const Placing placing(plan);
  if (Result<void> possible = check_possible(plan, placing); !possible) return std::unexpected(possible.error());
  Assignment assignment;
  Placement placement;
  if (options.mode == PlacementMode::kGreedy) {
    Result<Assignment> placed = place_greedily(plan, placing, options.hysteresis);
    if (!placed) return std::unexpected(placed.error());
    assignment = std::move(*placed);
    bound_greedy(placing, assignment, options.hysteresis, placement);
    placement.is_optimal = placement.value - placement.bound <= 1e-9 * std::abs(placement.value);
  } else {
    Result<AnytimeAnswer> answer = solve_programme(plan, placing, options);
    if (!answer) return std::unexpected(answer.error());
    assignment = std::move(answer->assignment);
    placement.value = answer->value;
    placement.bound = answer->bound;
    placement.is_optimal = answer->is_optimal;
  }
  placement.value -= placing.charged_for_new(options.hysteresis);
  placement.bound -= placing.charged_for_new(options.hysteresis);
  const Scheduler empty(placing.nodes());
  for (size_t job = 0; job < assignment.size(); ++job) {
    const uint32_t workload = placing.workload_of_job()[job];
    const NodeScore score = empty.score(assignment[job], placing.workloads()[workload]);
    placement.replicas.push_back({workload, assignment[job], score.estimated_latency, score});
  }
  explain_moves(plan, placing, options.hysteresis, placement);
  return placement;
}

}  // namespace verge::planner
