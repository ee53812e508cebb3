#include "overview/node_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace verge::overview {
namespace {

constexpr std::array kStates = {std::pair{State::kLive, std::string_view("live")},
                                std::pair{State::kStale, std::string_view("stale")},
                                std::pair{State::kOffline, std::string_view("offline")},
                                std::pair{State::kNeverSeen, std::string_view("never_seen")}};

constexpr uint64_t kTimeMax = 1ULL << 52;  // microseconds since 1970

int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

using Object = simdjson::dom::object;

std::optional<std::string> text_of(const Object& object, std::string_view name) {
  std::string_view text;
  if (object[name].get(text) != simdjson::SUCCESS || text.size() > Report::kTextBytesMax) return std::nullopt;
  return std::string(text);
}

// The same where it can be shown: nothing, where it has characters that control who shows it.
std::string shown_text_of(const Object& object, std::string_view name) {
  const std::string text = text_of(object, name).value_or("");
  return printable(text) == text ? text : std::string();
}

double number_of(const Object& object, std::string_view name) {
  double number = kNothing;
  if (object[name].get(number) != simdjson::SUCCESS) return kNothing;
  return number;
}

// The same where it can be: nothing, for what is out of range.
double number_in(const Object& object, std::string_view name, double least, double most) {
  const double number = number_of(object, name);
  return number >= least && number <= most ? number : kNothing;
}

// As node.name takes them.
bool is_node_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  });
}

// Nothing where it is none, or beyond `max`.
std::optional<uint64_t> count_of(const Object& object, std::string_view name, uint64_t max) {
  const double number = number_of(object, name);
  if (!(number >= 0) || number > static_cast<double>(max)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

std::optional<NodeId> id_of(const Object& object, std::string_view name) {
  const std::optional<std::string> text = text_of(object, name);
  return text ? NodeId::parse(*text) : std::nullopt;
}

// Empty: it is one; else what is wrong.
std::string_view read_node(const Object& object, NodeReport& node) {
  const std::optional<NodeId> id = id_of(object, "id");
  if (!id || id->is_zero()) return "a node without an id";
  node.id = *id;
  node.parent = id_of(object, "parent").value_or(NodeId{});
  const std::optional<std::string> name = text_of(object, "name");
  if (!name || name->empty()) return "a node without a name";
  if (!is_node_name(*name)) return "a node with a name that no node has";
  node.name = *name;
  const std::optional<Tier> tier = parse_tier(text_of(object, "tier").value_or(""));
  if (!tier) return "a node without a tier";
  node.tier = *tier;
  node.site = shown_text_of(object, "site");
  node.version = shown_text_of(object, "version");
  const double latitude = number_of(object, "latitude");
  const double longitude = number_of(object, "longitude");
  if (std::abs(latitude) <= 90 && std::abs(longitude) <= 180) node.position = {latitude, longitude};
  const std::optional<State> state = parse_state(text_of(object, "state").value_or("live"));
  if (!state) return "a node with a state that is none";
  node.state = *state;
  constexpr uint64_t kAgeMaxMs = 1000ULL * 3600 * 24 * 366;
  node.age = std::chrono::milliseconds(count_of(object, "age_ms", kAgeMaxMs).value_or(0));
  node.uptime_s = count_of(object, "uptime_s", 1ULL << 40).value_or(0);
  constexpr double kDayMs = 86'400'000;
  constexpr double kSkewMaxMs = 365.25 * 100 * kDayMs;  // a clock that was never set
  node.round_trip_ms = number_in(object, "round_trip_ms", 0, kDayMs);
  node.skew_ms = number_in(object, "skew_ms", -kSkewMaxMs, kSkewMaxMs);
  Object figures;
  if (object["figures"].get(figures) == simdjson::SUCCESS) {
    for (size_t i = 0; i < kFigureCount; ++i) {
      // None is negative; 1e18 is more than there is of anything.
      const double most = kFigureNames[i].unit == "ratio" ? 1 : 1e18;
      node.figures.values[i] = number_in(figures, kFigureNames[i].name, 0, most);
    }
  }
  return {};
}

std::unexpected<Error> malformed(std::string_view what) {
  return fail("report.malformed", fmt::format("the report cannot be read: {}", what),
              "the child runs another version, or is no node");
}

}  // namespace

std::string_view name_of(State state) { return kStates[static_cast<size_t>(state)].second; }

std::optional<State> parse_state(std::string_view name) {
  for (const auto& [state, known] : kStates) {
    if (known == name) return state;
  }
  return std::nullopt;
}

void append_node(std::string& out, const NodeReport& node, Absent absent) {
  const auto to = std::back_inserter(out);
  const bool nulls = absent == Absent::kNull;
  const auto id = [&](std::string_view name, const NodeId& value) {
    if (!value.is_zero()) {
      fmt::format_to(to, "\"{}\":\"{}\",", name, value.text());
    } else if (nulls) {
      fmt::format_to(to, "\"{}\":null,", name);
    }
  };
  out.push_back('{');
  id("id", node.id);
  id("parent", node.parent);
  fmt::format_to(to, R"("name":{},"tier":"{}","site":{},"version":{},"state":"{}","age_ms":{},"uptime_s":{})",
                 json_string(node.name), name_of(node.tier), json_string(node.site), json_string(node.version),
                 name_of(node.state), milliseconds(node.age), node.uptime_s);
  const auto number = [&](std::string_view name, double value) {
    if (!nulls && !std::isfinite(value)) return;
    fmt::format_to(to, ",\"{}\":", name);
    append_number(out, value);
  };
  number("latitude", node.position ? node.position->latitude : kNothing);
  number("longitude", node.position ? node.position->longitude : kNothing);
  number("round_trip_ms", node.round_trip_ms);
  number("skew_ms", node.skew_ms);
  out.append(",\"figures\":");
  append_figures(out, node.figures, absent);
  out.push_back('}');
}

std::string report_json(const Report& report) {
  std::string out =
      fmt::format(R"({{"every_ms":{},"sent_us":{},"nodes":[)", milliseconds(report.every), report.sent.microseconds);
  for (const NodeReport& node : report.nodes) {
    if (out.back() != '[') out.push_back(',');
    append_node(out, node, Absent::kOmit);
  }
  return out.append("]}");
}

Result<Report> parse_report(std::string_view json) {
  if (json.size() > Report::kBytesMax) return malformed("it is too long");
  simdjson::dom::parser parser;
  Object object;
  if (parser.parse(simdjson::padded_string(json)).get(object) != simdjson::SUCCESS) return malformed("it is no object");
  Report report;
  const std::optional<uint64_t> every = count_of(object, "every_ms", 3600ULL * 1000);
  if (!every || *every == 0) return malformed("it does not say when the next one is due");
  report.every = std::chrono::milliseconds(*every);
  report.sent = {static_cast<int64_t>(count_of(object, "sent_us", kTimeMax).value_or(0))};
  simdjson::dom::array nodes;
  if (object["nodes"].get(nodes) != simdjson::SUCCESS || nodes.size() == 0) return malformed("it is of no node");
  for (const simdjson::dom::element each : nodes) {
    if (report.nodes.size() == Report::kNodesMax) return malformed("it is of too many nodes");
    Object node;
    if (each.get(node) != simdjson::SUCCESS) return malformed("a node that is no object");
    if (const std::string_view wrong = read_node(node, report.nodes.emplace_back()); !wrong.empty()) {
      return malformed(wrong);
    }
  }
  return report;
}

std::string answer_json(const ReportAnswer& answer) {
  return fmt::format(R"({{"id":"{}","name":{},"tier":"{}","site":{},"version":{},"now_us":{}}})", answer.id.text(),
                     json_string(answer.name), name_of(answer.tier), json_string(answer.site),
                     json_string(answer.version), answer.now.microseconds);
}

std::optional<ReportAnswer> parse_answer(std::string_view json) {
  constexpr size_t kBytesMax = 4096;
  if (json.size() > kBytesMax) return std::nullopt;
  simdjson::dom::parser parser;
  Object object;
  if (parser.parse(simdjson::padded_string(json)).get(object) != simdjson::SUCCESS) return std::nullopt;
  const std::optional<NodeId> id = id_of(object, "id");
  const std::optional<std::string> name = text_of(object, "name");
  const std::optional<Tier> tier = parse_tier(text_of(object, "tier").value_or(""));
  if (!id || !name || !tier) return std::nullopt;
  return ReportAnswer{.id = *id,
                      .name = *name,
                      .tier = *tier,
                      .site = shown_text_of(object, "site"),
                      .version = shown_text_of(object, "version"),
                      .now = {static_cast<int64_t>(count_of(object, "now_us", kTimeMax).value_or(0))}};
}

}  // namespace verge::overview
