#include "cli/top_nodes.h"

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/top_figures.h"

namespace verge::cli {
namespace {

using Element = simdjson::dom::element;

constexpr std::string_view kNeverSeen = "never seen";

// Of 80 columns the state, the tier and what is measured most take 56: names have the others.
constexpr TopColumn kColumns[] = {
    {.heading = "NODE", .columns_min = 12, .columns_max = 48},
    {.heading = "STATE", .rank = 1, .columns_min = kNeverSeen.size()},
    {.heading = "TIER", .rank = 6, .columns_min = 6},
    {.heading = "SITE", .rank = 7, .columns_max = 16},
    {.heading = "VERSION", .rank = 9},
    {.heading = "RTT", .rank = 4, .is_number = true, .columns_min = 8},
    {.heading = "EVENTS", .rank = 3, .is_number = true, .columns_min = 9},
    {.heading = "DECIDED", .rank = 5, .is_number = true, .columns_min = 8},
    {.heading = "WAITING", .rank = 2, .is_number = true, .columns_min = 7},
    {.heading = "REQUESTS", .rank = 10, .is_number = true, .columns_min = 9},
    {.heading = "HITS", .rank = 8, .is_number = true, .columns_min = 7},
    {.heading = "CORES", .rank = 11, .is_number = true, .columns_min = 5},
};

struct Node {
  Element element;
  std::string id, name, state;
};

std::string_view colour_of(std::string_view state) {
  if (state == "offline") return kRed;
  return state == "live" || state.empty() ? std::string_view{} : kYellow;
}

TopCells cells_of(const Node& node, size_t depth) {
  const auto figure = [&](std::string_view name, Show show) {
    Element figures;
    return node.element["figures"].get(figures) == simdjson::SUCCESS ? shown(figures, name, show) : "-";
  };
  constexpr size_t kDepthMax = 6;
  return {.texts = {std::string(2 * std::min(depth, kDepthMax), ' ') + node.name, node.state,
                    text_of(node.element, "tier"), text_of(node.element, "site"), text_of(node.element, "version"),
                    shown(node.element, "round_trip_ms", of_milliseconds), figure("events_per_s", a_second),
                    figure("decision_p99_us", of_microseconds), figure("waiting_records", plain),
                    figure("requests_per_s", a_second), figure("cache_hit_ratio", percent), figure("cpu_cores", plain)},
          .colour = colour_of(node.state)};
}

// The root first.
std::vector<Node> nodes_of(const Element& tree) {
  std::vector<Node> all;
  const auto take = [&](const Element& element) {
    all.push_back({element, text_of(element, "id"), text_of(element, "name"), text_of(element, "state")});
  };
  Element self;
  if (tree["self"].get(self) == simdjson::SUCCESS) take(self);
  simdjson::dom::array nodes;
  if (tree["nodes"].get(nodes) == simdjson::SUCCESS) {
    for (const Element each : nodes) take(each);
  }
  return all;
}

// The gravest first: what is stale hangs below what is offline.
void add_absent(const Element& tree, const std::vector<Node>& all, std::vector<TopCells>& out) {
  std::map<std::pair<size_t, std::string>, std::vector<TopCells>> found;
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].state == "live") continue;
    found[{all[i].state == "offline" ? 0U : 2U, all[i].name}].push_back(cells_of(all[i], 1));
  }
  simdjson::dom::array never;
  if (tree["never_seen"].get(never) == simdjson::SUCCESS) {
    for (const Element each : never) {
      std::string_view name;
      if (each.get(name) != simdjson::SUCCESS) continue;
      TopCells cells{.texts = std::vector<std::string>(std::size(kColumns)), .colour = kYellow};
      cells.texts[0] = "  " + printable(name);
      cells.texts[1] = kNeverSeen;
      found[{1, std::string(name)}].push_back(std::move(cells));
    }
  }
  for (auto& [place, cells] : found) std::ranges::move(cells, std::back_inserter(out));
}

// Parents before their children, children by name; those that are not live stand elsewhere.
void add_live(const std::vector<Node>& all, std::vector<TopCells>& out) {
  std::set<std::string, std::less<>> known;
  for (const Node& node : all) known.insert(node.id);
  std::map<std::string, std::vector<const Node*>, std::less<>> below;
  for (const Node& node : std::span(all).subspan(1)) {
    const std::string parent = text_of(node.element, "parent");
    below[known.contains(parent) ? parent : all.front().id].push_back(&node);
  }
  for (auto& [parent, children] : below) std::ranges::sort(children, {}, &Node::name);
  std::set<std::string, std::less<>> seen;
  const auto visit = [&](const Node& root, size_t root_depth) {
    std::vector<std::pair<const Node*, size_t>> left = {{&root, root_depth}};  // the last is the next
    while (!left.empty()) {
      const auto [node, depth] = left.back();
      left.pop_back();
      if (!seen.insert(node->id).second) continue;
      if (depth > 0 && node->state == "live") out.push_back(cells_of(*node, depth));
      const auto children = below.find(node->id);
      if (children == below.end()) continue;
      for (const Node* child : std::views::reverse(children->second)) left.emplace_back(child, depth + 1);
    }
  };
  visit(all.front(), 0);
  // Reports that contradict each other may have named parents in a circle, which hangs from nothing.
  for (const Node& node : all) visit(node, 1);
}

}  // namespace

TopSection nodes_section(const Element& tree, const TopLook& look) {
  const std::vector<Node> all = nodes_of(tree);
  if (all.empty()) return {};
  std::vector<TopCells> rows = {cells_of(all.front(), 0)};
  add_absent(tree, all, rows);
  const size_t first_live = rows.size();
  add_live(all, rows);
  TopSection made = table(kColumns, rows, look);
  made.least = 4;
  constexpr double kMost = 1e9;
  const auto left_out = static_cast<size_t>(std::clamp(number_of(tree, "left_out").value_or(0), 0.0, kMost));
  if (left_out > 0) {
    made.head.insert(made.head.begin(),
                     {fmt::format("there was no room for {} reports of further nodes", left_out), kYellow});
  }
  made.rest = [first_live, count = rows.size()](size_t shown) {
    const size_t absent = first_live - std::min(first_live, shown);
    const std::string live = absent == 0 ? "all" : fmt::format("{}", absent);
    return fmt::format("  and {} more, {} of them {}", count - shown, live, absent == 0 ? "live" : "not live");
  };
  return made;
}

}  // namespace verge::cli
