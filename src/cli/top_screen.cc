#include "cli/top_screen.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace verge::cli {
namespace {

using Element = simdjson::dom::element;

std::string text_of(const Element& from, std::string_view name) {
  std::string_view text;
  return from[name].get(text) == simdjson::SUCCESS ? printable(text) : std::string();
}

std::optional<double> number_of(const Element& from, std::string_view name) {
  double number = 0;
  if (from[name].get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

using Show = std::string (*)(double);

std::string shown(const Element& from, std::string_view name, Show show) {
  const std::optional<double> number = number_of(from, name);
  return number ? show(*number) : "-";
}

std::string plain(double value) { return fmt::format("{:.{}f}", value, value >= 10 || value == 0 ? 0 : 2); }
std::string a_second(double value) { return plain(value) + "/s"; }
std::string percent(double value) { return fmt::format("{:.1f} %", value * 100); }
std::string bytes(double value) {
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}
std::string bytes_a_second(double value) { return bytes(value) + "/s"; }
std::string of_milliseconds(double value) {
  if (value >= 1000) return fmt::format("{:.1f} s", value / 1000);
  return value >= 1 || value == 0 ? fmt::format("{:.1f} ms", value) : fmt::format("{:.0f} us", value * 1000);
}
std::string of_microseconds(double value) { return of_milliseconds(value / 1000); }
// Characters, as a terminal counts them for most languages.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string cut(std::string_view text, size_t width) {
  size_t at = 0;
  for (size_t seen = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (begins && seen++ == width) break;
  }
  return std::string(text.substr(0, at));
}

std::string padded(std::string_view text, size_t width) {
  std::string out = cut(text, width);
  out.append(width - std::min(width, width_of(out)), ' ');
  return out;
}

// A screen that is filled from the top.
class Screen {
 public:
  explicit Screen(const TopLook& look) : look_(look) {}

  [[nodiscard]] bool is_full() const { return look_.lines > 0 && lines_ >= look_.lines; }
  void line(std::string_view text, std::string_view colour = {}) {
    if (is_full()) return;
    const std::string shown = cut(text, look_.columns);
    if (look_.colours && !colour.empty()) {
      fmt::format_to(std::back_inserter(out_), "\033[{}m{}\033[0m\n", colour, shown);
    } else {
      out_.append(shown).push_back('\n');
    }
    ++lines_;
  }
  std::string take() { return std::move(out_); }

 private:
  const TopLook look_;
  size_t lines_ = 0;
  std::string out_;
};

constexpr std::string_view kBold = "1";
constexpr std::string_view kRed = "31";
constexpr std::string_view kYellow = "33";
constexpr std::string_view kFaint = "2";

struct Node {
  Element element;
  std::string id, name, state;
};

void add_nodes(Screen& screen, const Element& tree, size_t columns) {
  std::map<std::string, std::vector<Node>, std::less<>> below;
  std::map<std::string, bool, std::less<>> known;
  std::vector<Node> all;
  const auto take = [&](const Element& element) {
    all.push_back({element, text_of(element, "id"), text_of(element, "name"), text_of(element, "state")});
    known[all.back().id] = true;
  };
  Element self;
  if (tree["self"].get(self) != simdjson::SUCCESS) return;
  take(self);
  const std::string root = all.front().id;
  simdjson::dom::array nodes;
  if (tree["nodes"].get(nodes) == simdjson::SUCCESS) {
    for (const Element each : nodes) take(each);
  }
  for (size_t i = 1; i < all.size(); ++i) {
    const std::string parent = text_of(all[i].element, "parent");
    below[known.contains(parent) ? parent : root].push_back(all[i]);
  }
  const size_t name_width = std::clamp<size_t>(columns > 76 ? columns - 76 : 12, 12, 40);
  screen.line(fmt::format("{} {:<8} {:<6} {:<12} {:>9} {:>9} {:>9} {:>8} {:>7}", padded("NODE", name_width), "STATE",
                          "TIER", "SITE", "RTT", "EVENTS", "DECIDED", "WAITING", "HITS"),
              kFaint);
  std::set<std::string, std::less<>> shown_ids;
  const auto show = [&](const auto& again, const Node& node, size_t depth) -> void {
    if (!shown_ids.insert(node.id).second) return;
    Element figures;
    if (node.element["figures"].get(figures) != simdjson::SUCCESS) return;
    const std::string name = std::string(2 * std::min<size_t>(depth, 6), ' ') + node.name;
    screen.line(
        fmt::format("{} {:<8} {:<6} {} {:>9} {:>9} {:>9} {:>8} {:>7}", padded(name, name_width), node.state,
                    text_of(node.element, "tier"), padded(text_of(node.element, "site"), 12),
                    shown(node.element, "round_trip_ms", of_milliseconds), shown(figures, "events_per_s", a_second),
                    shown(figures, "decision_p99_us", of_microseconds), shown(figures, "waiting_records", plain),
                    shown(figures, "cache_hit_ratio", percent)),
        node.state == "offline" ? kRed
        : node.state == "stale" ? kYellow
                                : std::string_view{});
    const auto children = below.find(node.id);
    if (children == below.end() || screen.is_full()) return;
    std::ranges::sort(children->second, {}, &Node::name);
    for (const Node& child : children->second) again(again, child, depth + 1);
  };
  show(show, all.front(), 0);
  // Reports that contradict each other may have named parents in a circle, which hangs from nothing.
  for (const Node& node : all) {
    if (!shown_ids.contains(node.id)) show(show, node, 1);
  }
  simdjson::dom::array never;
  if (tree["never_seen"].get(never) != simdjson::SUCCESS) return;
  for (const Element each : never) {
    std::string_view name;
    if (each.get(name) != simdjson::SUCCESS) continue;
    screen.line(fmt::format("{} never seen", padded("  " + printable(name), name_width)), kYellow);
  }
}

}  // namespace

std::string top_screen(const TopAnswers& answers, const TopLook& look) {
  simdjson::dom::parser of_now, of_tree, of_insights;
  Element now, tree, insights, self, figures;
  const bool is_sound = of_now.parse(answers.now).get(now) == simdjson::SUCCESS &&
                        of_tree.parse(answers.tree).get(tree) == simdjson::SUCCESS &&
                        of_insights.parse(answers.insights).get(insights) == simdjson::SUCCESS &&
                        tree["self"].get(self) == simdjson::SUCCESS && now["figures"].get(figures) == simdjson::SUCCESS;
  if (!is_sound) return {};
  Screen screen(look);
  const auto figure = [&](std::string_view name, Show show) { return shown(figures, name, show); };
  std::string title =
      fmt::format("{}  {}  version {}  up {}", text_of(self, "name"), text_of(self, "tier"), text_of(self, "version"),
                  format_duration(std::chrono::seconds(static_cast<int64_t>(number_of(self, "uptime_s").value_or(0)))));
  Element parent;
  if (tree["parent"].get(parent) == simdjson::SUCCESS && parent.is_object()) {
    std::string name = text_of(parent, "name");
    if (name.empty()) name = text_of(parent, "url");
    fmt::format_to(std::back_inserter(title), "  parent {} {}", name, text_of(parent, "state"));
  }
  screen.line(title, kBold);
  screen.line("");
  screen.line(fmt::format("events    {:>12} in   {:>12} decisions   p50 {:>8}  p99 {:>8}  under 1 ms {}",
                          figure("events_per_s", a_second), figure("decisions_per_s", a_second),
                          figure("decision_p50_us", of_microseconds), figure("decision_p99_us", of_microseconds),
                          figure("decisions_under_1ms", percent)));
  screen.line(fmt::format("bytes     {:>12} in   {:>12} sent up     waiting {}, oldest {}  dead letters {}",
                          figure("received_bytes_per_s", bytes_a_second), figure("sent_bytes_per_s", bytes_a_second),
                          figure("waiting_records", plain), figure("oldest_waiting_ms", of_milliseconds),
                          figure("dead_letters", plain)));
  screen.line(fmt::format("requests  {:>12}      {:>12} origin p50  p50 {:>8}  p99 {:>8}  edge {}  cache {}",
                          figure("requests_per_s", a_second), figure("origin_p50_ms", of_milliseconds),
                          figure("request_p50_ms", of_milliseconds), figure("request_p99_ms", of_milliseconds),
                          figure("edge_hit_ratio", percent), figure("cache_hit_ratio", percent)));
  screen.line(fmt::format("machine   {:>12} cores {:>11} memory      {} free on the disk  {} connections",
                          figure("cpu_cores", plain), figure("resident_bytes", bytes), figure("disk_free_bytes", bytes),
                          figure("connections", plain)));
  screen.line("");
  simdjson::dom::array found;
  if (insights["insights"].get(found) == simdjson::SUCCESS && found.size() > 0) {
    constexpr size_t kShown = 5;
    size_t count = 0;
    for (const Element each : found) {
      if (count++ == kShown) break;
      const std::string level = text_of(each, "level");
      screen.line(fmt::format("{:<8} {}", level, text_of(each, "message")), level == "warning"  ? kRed
                                                                            : level == "medium" ? kYellow
                                                                                                : std::string_view{});
    }
    if (found.size() > kShown) screen.line(fmt::format("         and {} more", found.size() - kShown));
    screen.line("");
  }
  add_nodes(screen, tree, look.columns);
  return screen.take();
}

}  // namespace verge::cli
