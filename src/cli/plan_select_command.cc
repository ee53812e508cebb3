// verge plan select: which node serves each user, and which when that is gone.
#include <chrono>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/random.h"
#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_files.h"
#include "cli/plan_output.h"
#include "planner/drawing.h"
#include "planner/json_text.h"
#include "planner/plan_latencies.h"
#include "planner/routing_table.h"
#include "planner/selection.h"

namespace verge::cli {

namespace {

struct SelectOptions {
  PlanFiles files;
  PlanOutput output;
  bool plain = false;
  bool relays = true;
  size_t cells = 0;
  unsigned threads = 2;
};

void append_candidate(planner::JsonText& json, const planner::PlanDocument& plan,
                      const planner::SelectionCandidate& candidate) {
  json.open('{').member("node", plan.nodes[candidate.node].name).member("zone", plan.nodes[candidate.node].zone);
  json.key("relay");
  if (candidate.relay) {
    json.value(plan.nodes[*candidate.relay].name);
  } else {
    json.value(std::nan(""));
  }
  json.member("propagation_ms", candidate.propagation_ms).member("processing_ms", candidate.processing_ms);
  json.member("queueing_ms", candidate.queueing_ms).member("latency_ms", candidate.latency_ms);
  json.member("cost", candidate.cost).member("score", candidate.score).close('}');
}

void append_choice(planner::JsonText& json, std::string_view name, const planner::PlanDocument& plan,
                   const std::optional<planner::SelectionCandidate>& choice) {
  json.key(name);
  if (choice) {
    append_candidate(json, plan, *choice);
  } else {
    json.value(std::nan(""));
  }
}

std::vector<uint32_t> zones_of(const planner::PlanDocument& plan) {
  std::map<std::string, uint32_t> names;
  std::vector<uint32_t> zones;
  for (const planner::PlanNode& node : plan.nodes) {
    zones.push_back(names.emplace(node.zone, static_cast<uint32_t>(names.size())).first->second);
  }
  return zones;
}

// Why there is no primary; empty where there is one.
std::string nobody_serves(const planner::PlanDocument& plan, const planner::Selection& selection) {
  if (selection.primary) return "";
  return fmt::format("all {} nodes are saturated (load 1 or more): nobody serves", plan.nodes.size());
}

// The table for the whole Earth, and what it costs to build and to read.
int build_table(const SelectOptions& options, const planner::PlanDocument& plan) {
  using Clock = std::chrono::steady_clock;
  const std::vector<uint32_t> zones = zones_of(plan);
  std::vector<planner::RoutedNode> nodes;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    nodes.push_back({plan.nodes[i].at, plan.nodes[i].load, plan.nodes[i].cost, zones[i]});
  }
  const auto start = Clock::now();
  const auto table = planner::RoutingTable::build(nodes, options.cells, options.threads, options.plain);
  const std::chrono::duration<double> built = Clock::now() - start;
  constexpr size_t kLookups = 2'000'000;
  Random random(1);
  std::vector<planner::Coordinates> users;
  for (size_t i = 0; i < 65'536; ++i) users.push_back({random.unit() * 180 - 90, random.unit() * 360 - 180});
  const auto begun = Clock::now();
  uint64_t sum = 0;
  for (size_t i = 0; i < kLookups; ++i) sum += table.lookup(users[i % users.size()]).primary;
  const std::chrono::duration<double, std::nano> read = Clock::now() - begun;
  std::vector<size_t> served(plan.nodes.size(), 0);
  for (size_t cell = 0; cell < table.cells(); ++cell) {
    if (table.route_of(cell).primary != planner::kNoNode) ++served[table.route_of(cell).primary];
  }
  size_t used = 0;
  size_t cells_served = 0;
  for (const size_t count : served) used += count > 0 ? 1 : 0;
  for (const size_t count : served) cells_served += count;
  planner::JsonText json;
  json.open('{').member("cells", table.cells()).member("nodes", plan.nodes.size()).member("nodes_used", used);
  json.member("unserved_cells", table.cells() - cells_served);
  json.member("build_seconds", built.count()).member("lookup_ns", read.count() / kLookups);
  json.member("checksum", sum).close('}');
  return print_plan(
      options.output,
      {.json = json.text(),
       .table =
           fmt::format("{} cells, {} nodes, {} of them serve; built in {:.2f} s, a lookup takes {:.1f} ns\n",
                       table.cells(), plan.nodes.size(), used, built.count(), read.count() / kLookups) +
           (cells_served < table.cells() ? fmt::format("{} cells have no node: all are saturated (load 1 or more)\n",
                                                       table.cells() - cells_served)
                                         : ""),
       .explanation = "each cell of a grid over the Earth has its primary and two fallbacks\n",
       .picture = [&] {
         std::vector<planner::MapPoint> points;
         for (size_t i = 0; i < plan.nodes.size() && i < 2000; ++i) {
           points.push_back({plan.nodes[i].at, "", served[i] > 0 ? 0 : 5, served[i] > 0 ? 4.0 : 2.0});
         }
         return planner::draw_map("Nodes of the routing table", points, {});
       }});
}

int run_select(const SelectOptions& options) {
  const Result<planner::PlanDocument> plan = read_plan_files(options.files);
  if (!plan) return print_plan_failure(plan.error());
  if (plan->nodes.empty()) return print_plan_failure(plan->missing("node to select", "add [[node]] tables or --nodes"));
  if (options.cells > 0) return build_table(options, *plan);
  if (plan->users.empty())
    return print_plan_failure(plan->missing("user to select for", "add [[user]] tables or --users"));
  const planner::PlanLatencies latencies(*plan);
  const std::vector<uint32_t> zones = zones_of(*plan);
  planner::JsonText json;
  json.open('{').key("users").open('[');
  TextTable table({"user", "primary", "latency ms", "score", "fallback 1", "fallback 2"});
  std::string explanation =
      "latency = one-way propagation + load x 10 + rho/(1-rho) x 0.1; score = latency x 0.7 + cost x 0.3 x 1000; lower "
      "is better\n";
  std::vector<planner::MapLine> lines;
  std::vector<std::string> unserved;
  for (size_t user = 0; user < plan->users.size(); ++user) {
    planner::SelectionQuery query{
        .nodes = plan->nodes.size(),
        .to_node_ms = [&](uint32_t node) { return latencies.between_user_and_node(user, node).milliseconds / 2; },
        .between_nodes_ms = {},
        .load = [&](uint32_t node) { return plan->nodes[node].load; },
        .cost = [&](uint32_t node) { return plan->nodes[node].cost; },
        .zone = [&](uint32_t node) { return zones[node]; },
        .is_plain = options.plain};
    if (options.relays) {
      query.between_nodes_ms = [&](uint32_t a, uint32_t b) { return latencies.between_nodes(a, b).milliseconds / 2; };
    }
    const planner::Selection selection = planner::select_nodes(query);
    json.open('{').member("user", plan->users[user].name);
    const std::string nobody = nobody_serves(*plan, selection);
    if (!nobody.empty()) {
      json.member("reason", nobody);
      unserved.push_back(plan->users[user].name);
    }
    append_choice(json, "primary", *plan, selection.primary);
    append_choice(json, "fallback_1", *plan, selection.fallback_1);
    append_choice(json, "fallback_2", *plan, selection.fallback_2);
    json.key("all_candidates").open('[');
    for (const planner::SelectionCandidate& candidate : selection.all_candidates)
      append_candidate(json, *plan, candidate);
    json.close(']').close('}');
    const auto name = [&](const std::optional<planner::SelectionCandidate>& choice) {
      return choice ? plan->nodes[choice->node].name : std::string("-");
    };
    table.add({plan->users[user].name, name(selection.primary),
               selection.primary ? shown(selection.primary->latency_ms) : "-",
               selection.primary ? shown(selection.primary->score) : "-", name(selection.fallback_1),
               name(selection.fallback_2)});
    if (selection.primary) {
      lines.push_back(
          {plan->users[user].at, plan->nodes[selection.primary->node].at, static_cast<int>(selection.primary->node)});
    }
    for (const planner::SelectionCandidate& candidate : selection.all_candidates) {
      explanation += fmt::format(
          "{} -> {}{}: {} ms propagation + {} load + {} queue = {} ms; cost {}; score {}\n", plan->users[user].name,
          plan->nodes[candidate.node].name, candidate.relay ? " by " + plan->nodes[*candidate.relay].name : "",
          shown(candidate.propagation_ms, 2), shown(candidate.processing_ms, 2), shown(candidate.queueing_ms, 2),
          shown(candidate.latency_ms, 2), shown(candidate.cost, 3), shown(candidate.score, 2));
    }
  }
  json.close(']').member("unserved", unserved.size()).close('}');
  std::string text = table.text();
  if (!unserved.empty()) {
    text += fmt::format(
        "\nall {} nodes are saturated (load 1 or more): {} user(s) have no node; lower the loads or add nodes\n",
        plan->nodes.size(), unserved.size());
  }
  return print_plan(options.output,
                    {.json = json.text(), .table = text, .explanation = explanation, .picture = [&] {
                       std::vector<planner::MapPoint> points;
                       for (const auto& user : plan->users) points.push_back({user.at, "", 5, 2});
                       for (size_t i = 0; i < plan->nodes.size(); ++i) {
                         points.push_back({plan->nodes[i].at, plan->nodes[i].name, static_cast<int>(i), 5});
                       }
                       return planner::draw_map("Which node serves whom", points, lines);
                     }});
}

}  // namespace

void add_plan_select(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<SelectOptions>();
  Command* command = plan.add_command("select", "Choose each user's node and two fallbacks");
  add_plan_files(*command, options->files, false);
  command->add_flag("--plain", options->plain, "By score alone: no fallback outside the primary's zone is sought");
  command->add_flag("!--no-relays", options->relays, "Do not look for relays that beat the direct path by 10 %");
  command->add_option("--table", options->cells, "Instead: a routing table of so many cells over the Earth")
      ->check(between(size_t{1}, size_t{50'000'000}))
      ->type_name("CELLS");
  command->add_option("--threads", options->threads, "That build the table")
      ->check(between(1, 256))
      ->capture_default_str();
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan select examples/plan/city.toml --explain\n"
               "  verge plan select --nodes aws --users cities --json\n"
               "  verge plan select --nodes clouds --table 1000000\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_select(*options); }; });
}

}  // namespace verge::cli
