// A report: what a node tells its parent of itself and of what is below it (docs/formats/report.md).
//
// JSON, because it is small, seldom, and read by people who look at the wire; a report names what it has and may have
// more one day, which is passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/node_id.h"
#include "model/priority.h"
#include "overview/figures.h"

namespace verge::overview {

// Whether a node is there, by its last word.
enum class State : uint8_t {
  kLive,       // it reports when it should
  kStale,      // a report is overdue, or those that would bring its word are not live
  kOffline,    // it has not reported for two of its own intervals
  kNeverSeen,  // it is expected, and has not reported since this node started
};
std::string_view name_of(State state);
std::optional<State> parse_state(std::string_view name);

struct Position {
  double latitude = 0;   // degrees north
  double longitude = 0;  // degrees east
};

struct NodeReport {
  NodeId id;      // zero: one that was never seen
  NodeId parent;  // zero: of the first of a report, whose parent is who gets it
  std::string name;
  Tier tier = Tier::kEdge;
  std::string site;  // empty: none is named
  std::string version;
  std::optional<Position> position;
  State state = State::kLive;
  Duration age{0};  // of its own last word
  uint64_t uptime_s = 0;
  double round_trip_ms = kNothing;  // to its parent and back, as it measured last
  double skew_ms = kNothing;        // its clock before that of its parent
  Figures figures;
};

struct Report {
  static constexpr size_t kNodesMax = 1000;
  static constexpr size_t kBytesMax = 512U << 10;
  static constexpr size_t kTextBytesMax = 128;  // of names, sites, versions
  static constexpr Duration kEveryMax = std::chrono::hours(1);

  Duration every{0};  // when the next one is due
  WallTime sent;
  std::vector<NodeReport> nodes;  // first who sends it
};

// One node as JSON, for reports and for answers alike.
void append_node(std::string& out, const NodeReport& node, Absent absent);
std::string report_json(const Report& report);
// Code: report.malformed.
Result<Report> parse_report(std::string_view json);

// What a parent answers: who it is.
struct ReportAnswer {
  NodeId id;
  std::string name;
  Tier tier = Tier::kEdge;
  std::string site;
  std::string version;
  WallTime now;  // by its clock; 0: it does not say
};
std::string answer_json(const ReportAnswer& answer);
std::optional<ReportAnswer> parse_answer(std::string_view json);

}  // namespace verge::overview
