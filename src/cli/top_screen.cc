#include "cli/top_screen.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/terminal_text.h"
#include "cli/top_figures.h"
#include "cli/top_nodes.h"

namespace verge::cli {
namespace {

using Element = TopAnswers::Element;

constexpr size_t kLabel = 10;  // what figures and levels stand behind

std::vector<Element> elements_in(const Element& from, std::string_view name) {
  std::vector<Element> made;
  simdjson::dom::array array;
  if (from[name].get(array) != simdjson::SUCCESS) return made;
  for (const Element each : array) made.push_back(each);
  return made;
}

// As many of the texts as fit, in order; those behind matter less.
std::string joined(const std::vector<std::string>& texts, size_t columns) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty() && columns_of(out) + 2 + columns_of(text) > columns) break;
    if (!out.empty()) out.append("  ");
    out.append(text);
  }
  return out;
}

TopSection title_section(const TopAnswers& answers, const TopLook& look) {
  Element self;
  Element parent;
  const Element& tree = answers[TopAnswers::kTree];
  if (tree["self"].get(self) != simdjson::SUCCESS) return {};
  std::vector<std::string> texts = {text_of(self, "name"), text_of(self, "tier")};
  if (tree["parent"].get(parent) == simdjson::SUCCESS && parent.is_object()) {
    std::string name = text_of(parent, "name");
    if (name.empty()) name = text_of(parent, "url");
    std::string state = text_of(parent, "state");
    std::ranges::replace(state, '_', ' ');
    texts.push_back(fmt::format("parent {} {}", name, state));
  }
  texts.push_back("up " + shown(self, "uptime_s", of_seconds));
  texts.push_back("version " + text_of(self, "version"));
  TopSection made;
  made.rows.push_back({.brief = {joined(texts, look.columns), kBold}, .whole = {}});
  return made;
}

// Figures behind a label: what does not fit on the first line is on further ones, where there is room.
TopRow figures_row(std::string_view label, const std::vector<std::string>& cells, const TopLook& look) {
  std::vector<TopLine> lines = {{padded(label, kLabel), {}}};
  bool is_begin = true;
  for (const std::string& cell : cells) {
    if (!is_begin && columns_of(lines.back().text) + 2 + columns_of(cell) > look.columns) {
      lines.push_back({std::string(kLabel, ' '), {}});
      is_begin = true;
    }
    lines.back().text.append(is_begin ? "" : "  ").append(cell);
    is_begin = false;
  }
  const TopLine brief = lines.front();
  return {.brief = brief, .whole = std::move(lines)};
}

TopSection figures_section(const TopAnswers& answers, const TopLook& look) {
  const Element& now = answers[TopAnswers::kNow];
  Element figures;
  if (now["figures"].get(figures) != simdjson::SUCCESS) return {};
  const auto cell = [&](std::string_view name, Show show, size_t width, std::string_view what) {
    return fmt::format("{:>{}} {}", shown(figures, name, show), width, what);
  };
  const bool has_parent = flag_of(now, "has_parent", true);
  TopSection made{.head = {}, .rows = {}, .least = 4, .usual = 4, .rest = nullptr};
  made.rows.push_back(figures_row(
      "events",
      {cell("events_per_s", a_second, 10, "in"), cell("decisions_per_s", a_second, 8, "decided"),
       cell("decision_p99_us", of_microseconds, 8, "p99"), cell("decision_p50_us", of_microseconds, 8, "p50"),
       cell("decisions_under_1ms", percent, 7, "under 1 ms")},
      look));
  std::vector<std::string> bytes_cells = {cell("received_bytes_per_s", bytes_a_second, 10, "in")};
  if (has_parent) {
    bytes_cells.push_back(cell("sent_bytes_per_s", bytes_a_second, 10, "sent up"));
    bytes_cells.push_back(cell("waiting_records", plain, 7, "waiting"));
  }
  bytes_cells.push_back(cell("dead_letters", plain, 3, "dead letters"));
  if (has_parent) bytes_cells.push_back(cell("oldest_waiting_ms", of_milliseconds, 8, "the oldest"));
  made.rows.push_back(figures_row("bytes", bytes_cells, look));
  if (flag_of(now, "has_sites", true)) {
    made.rows.push_back(figures_row(
        "requests",
        {cell("requests_per_s", a_second, 10, "in"), cell("request_p99_ms", of_milliseconds, 8, "p99"),
         cell("edge_hit_ratio", percent, 7, "edge hits"), cell("cache_hit_ratio", percent, 7, "cache hits"),
         cell("request_p50_ms", of_milliseconds, 8, "p50"), cell("origin_p50_ms", of_milliseconds, 8, "origin p50"),
         cell("failures_per_s", a_second, 8, "failed"), cell("stale_per_s", a_second, 8, "stale"),
         cell("collapsed_per_s", a_second, 8, "collapsed")},
        look));
  }
  made.rows.push_back(
      figures_row("machine",
                  {cell("cpu_cores", plain, 10, "cores"), cell("resident_bytes", bytes, 9, "memory"),
                   cell("disk_free_bytes", bytes, 9, "disk free"), cell("connections", plain, 5, "connections")},
                  look));
  return made;
}

TopSection insights_section(const TopAnswers& answers, const TopLook& look) {
  TopSection made{.head = {}, .rows = {}, .least = 2, .usual = 5, .rest = nullptr};
  const size_t room = look.columns > kLabel ? look.columns - kLabel : 1;
  const std::string indent(kLabel, ' ');
  constexpr size_t kLinesMax = 4;
  for (const Element& each : elements_in(answers[TopAnswers::kInsights], "insights")) {
    const std::string level = text_of(each, "level");
    const std::string message = text_of(each, "message");
    const std::string_view colour = level == "warning" ? kRed : level == "medium" ? kYellow : std::string_view{};
    TopRow row{.brief = {padded(level, kLabel) + cut(message, room), colour}, .whole = {}};
    for (const std::string& line : wrapped(message, room, kLinesMax)) {
      row.whole.push_back({(row.whole.empty() ? padded(level, kLabel) : indent) + line, colour});
    }
    for (const std::string& line : wrapped(text_of(each, "recommendation"), room, kLinesMax)) {
      row.whole.push_back({indent + line, kFaint});
    }
    made.rows.push_back(std::move(row));
  }
  made.rest = [count = made.rows.size(), indent](size_t shown) {
    return fmt::format("{}and {} more", indent, count - shown);
  };
  return made;
}

TopSection queues_section(const TopAnswers& answers, const TopLook& look) {
  const Element& now = answers[TopAnswers::kNow];
  Element figures;
  if (!flag_of(now, "has_parent", true) || now["figures"].get(figures) != simdjson::SUCCESS) return {};
  static constexpr TopColumn kColumns[] = {{.heading = "QUEUE"},
                                           {.heading = "WAITING", .is_number = true, .columns_min = 9},
                                           {.heading = "OLDEST", .is_number = true, .columns_min = 9},
                                           {.heading = "ON DISK", .is_number = true, .columns_min = 10},
                                           {.heading = "DROPPED", .is_number = true, .columns_min = 9}};
  std::vector<TopCells> rows;
  for (const Element& each : elements_in(now, "queues")) {
    const bool is_empty = number_of(each, "records").value_or(0) == 0;
    rows.push_back({.texts = {text_of(each, "priority"), shown(each, "records", plain),
                              is_empty ? "-" : shown(each, "oldest_ms", of_milliseconds), shown(each, "bytes", bytes),
                              shown(each, "dropped", plain)},
                    .colour = {}});
  }
  TopSection made = table(kColumns, rows, look);
  if (rows.empty()) return made;
  const std::string line =
      fmt::format("line to the parent {}, compression level {}", shown(figures, "line_bytes_per_s", bytes_a_second),
                  shown(figures, "compression_level", [](double v) { return fmt::format("{:.0f}", v); }));
  made.rows.push_back({.brief = {line, {}}, .whole = {}});
  made.least = made.usual = made.rows.size();
  return made;
}

std::string goal_text(const Element& goal, std::string_view name) {
  const std::string unit = text_of(goal, "unit");
  return shown(goal, name, unit == "ratio" ? percent : unit == "us" ? of_microseconds : of_milliseconds);
}

// Those with a colour need a look.
std::vector<TopCells> marked_first(const std::vector<TopCells>& rows) {
  std::vector<TopCells> made;
  std::ranges::copy_if(rows, std::back_inserter(made), [](const TopCells& row) { return !row.colour.empty(); });
  std::ranges::copy_if(rows, std::back_inserter(made), [](const TopCells& row) { return row.colour.empty(); });
  return made;
}

TopSection goals_section(const TopAnswers& answers, const TopLook& look) {
  static constexpr TopColumn kColumns[] = {{.heading = "GOAL", .columns_max = 70},
                                           {.heading = "WANTED", .rank = 2, .is_number = true, .columns_min = 10},
                                           {.heading = "MEASURED", .rank = 1, .is_number = true, .columns_min = 9},
                                           {.heading = "MET", .rank = 0, .columns_min = 3},
                                           {.heading = "OVER", .rank = 3, .columns_max = 16}};
  std::vector<TopCells> rows;
  for (const Element& each : elements_in(answers[TopAnswers::kGoals], "goals")) {
    const std::string is = text_of(each, "is");
    const bool is_known = each["met"].is_bool();
    const bool is_met = flag_of(each, "met", true);
    rows.push_back(
        {.texts = {text_of(each, "name"), is.empty() ? "-" : (is == "below" ? "< " : "> ") + goal_text(each, "goal"),
                   goal_text(each, "measured"),
                   !is_known ? "-"
                   : is_met  ? "yes"
                             : "no",
                   text_of(each, "over")},
         .colour = is_met ? std::string_view{} : kRed});
  }
  TopSection made = table(kColumns, marked_first(rows), look);
  made.least = 3;
  return made;
}

// Fewer than two are no more than the figures of this node.
TopSection regions_section(const TopAnswers& answers, const TopLook& look) {
  static constexpr TopColumn kColumns[] = {{.heading = "REGION", .columns_max = 40},
                                           {.heading = "NODES", .is_number = true, .columns_min = 9},
                                           {.heading = "LIVE", .is_number = true, .columns_min = 9},
                                           {.heading = "RTT", .is_number = true, .columns_min = 10}};
  std::vector<TopCells> rows;
  for (const Element& each : elements_in(answers[TopAnswers::kTree], "regions")) {
    const std::string site = text_of(each, "site");
    const auto count = [](double value) { return fmt::format("{:.0f}", value); };
    rows.push_back({.texts = {site.empty() ? "no site named" : site, shown(each, "nodes", count),
                              shown(each, "live", count), shown(each, "round_trip_ms", of_milliseconds)},
                    .colour = number_of(each, "live") == number_of(each, "nodes") ? std::string_view{} : kYellow});
  }
  if (rows.size() < 2) return {};
  TopSection made = table(kColumns, marked_first(rows), look);
  made.least = 3;
  return made;
}

TopSection workers_section(const TopAnswers& answers, const TopLook& look) {
  static constexpr TopColumn kColumns[] = {{.heading = "WORKER", .columns_max = 40},
                                           {.heading = "CALLS", .rank = 1, .is_number = true, .columns_min = 9},
                                           {.heading = "ERRORS", .rank = 2, .is_number = true, .columns_min = 7},
                                           {.heading = "LIMITED", .rank = 6, .is_number = true, .columns_min = 7},
                                           {.heading = "CPU A CALL", .rank = 5, .is_number = true, .columns_min = 10},
                                           {.heading = "MEMORY", .rank = 4, .is_number = true, .columns_min = 9},
                                           {.heading = "P50", .rank = 7, .is_number = true, .columns_min = 8},
                                           {.heading = "P99", .rank = 3, .is_number = true, .columns_min = 8}};
  std::vector<TopCells> rows;
  for (const Element& each : elements_in(answers[TopAnswers::kWorkers], "workers")) {
    const double calls = number_of(each, "calls").value_or(0);
    const auto of_calls = [&](std::string_view name, Show show) { return calls > 0 ? shown(each, name, show) : "-"; };
    const double cpu_us = number_of(each, "cpu_s").value_or(0) * 1e6;
    rows.push_back(
        {.texts = {text_of(each, "name"), plain(calls), shown(each, "errors", plain), shown(each, "limited", plain),
                   calls > 0 ? of_microseconds(cpu_us / calls) : "-", shown(each, "memory_bytes", bytes),
                   of_calls("p50_us", of_microseconds), of_calls("p99_us", of_microseconds)},
         .colour = number_of(each, "errors").value_or(0) > 0 ? kYellow : std::string_view{}});
  }
  TopSection made = table(kColumns, rows, look);
  made.least = 3;
  return made;
}

TopSection popular_section(const TopAnswers& answers, std::string_view name, std::string_view heading,
                           const TopLook& look) {
  constexpr size_t kMost = 12;
  TopSection made{.head = {{std::string(heading), kFaint}}, .rows = {}, .least = 3, .usual = 5, .rest = nullptr};
  for (const Element& each : elements_in(answers[TopAnswers::kRequests], name)) {
    if (made.rows.size() == kMost) break;
    const std::string text = fmt::format("{:>8}  {}", shown(each, "share", percent), text_of(each, "key"));
    made.rows.push_back({.brief = {cut(text, look.columns), {}}, .whole = {}});
  }
  return made;
}

TopSection loss_section(std::string_view what, std::string_view loss, const TopLook& look) {
  TopSection made;
  constexpr size_t kLinesMax = 4;
  for (const std::string_view text : {what, loss}) {
    for (std::string& line : wrapped(text, look.columns, kLinesMax)) {
      if (look.lines > 0 && made.rows.size() == look.lines) break;
      made.rows.push_back({.brief = {std::move(line), kRed}, .whole = {}});
    }
  }
  made.least = made.rows.size();
  return made;
}

void make_faint(TopSection& section) {
  for (TopLine& line : section.head) line.colour = kFaint;
  for (TopRow& row : section.rows) {
    row.brief.colour = kFaint;
    for (TopLine& line : row.whole) line.colour = kFaint;
  }
}

}  // namespace

std::string top_screen(const TopAnswers& answers, const TopLook& look, std::string_view loss, double age_s) {
  std::vector<TopSection> sections = {title_section(answers, look),
                                      figures_section(answers, look),
                                      insights_section(answers, look),
                                      nodes_section(answers[TopAnswers::kTree], look),
                                      queues_section(answers, look),
                                      goals_section(answers, look),
                                      regions_section(answers, look),
                                      workers_section(answers, look),
                                      popular_section(answers, "urls", "URLS ASKED FOR MOST", look),
                                      popular_section(answers, "tags", "TAGS ASKED FOR MOST", look)};
  if (loss.empty()) return laid_out(sections, look);
  for (TopSection& section : sections) make_faint(section);
  sections.insert(sections.begin(),
                  loss_section(fmt::format("OLD: of {} ago; nothing newer is known", of_seconds(age_s)), loss, look));
  return laid_out(sections, look);
}

std::string top_without_answers(std::string_view admin, const TopLook& look, std::string_view loss) {
  TopSection section;
  if (loss.empty()) {
    section.rows.push_back({.brief = {fmt::format("asking the node at {}", admin), {}}, .whole = {}});
  } else {
    section = loss_section(fmt::format("nothing is known of the node at {}; it is asked again", admin), loss, look);
  }
  return laid_out(std::span(&section, 1), look);
}

}  // namespace verge::cli
