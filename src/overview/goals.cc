#include "overview/goals.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace verge::overview {
namespace {

enum class Side { kBelow, kAbove, kNone };

struct Goal {
  std::string_view id;
  std::string_view name;
  std::string_view unit;
  Side side;
  double goal;
  double Measured::* measured;
  std::string_view over;
};

constexpr Goal kGoals[] = {
    {"request-p50", "Half of all requests answered within", "ms", Side::kBelow, 20, &Measured::request_p50_ms,
     "the last minute"},
    {"request-p99", "99 of 100 requests answered within", "ms", Side::kBelow, 100, &Measured::request_p99_ms,
     "the last minute"},
    {"edge-hits", "Requests answered here, without asking an origin", "ratio", Side::kAbove, kEdgeHitRatioGoal,
     &Measured::edge_hit_ratio, "the last minute"},
    {"availability", "Requests not answered with an error of this node (5xx)", "ratio", Side::kAbove, 0.999,
     &Measured::availability, "since the start"},
    {"lag", "How late records for the parent are, beyond parent.batch_age_max", "ms", Side::kBelow, 50,
     &Measured::lag_ms, "now"},
    {"bandwidth-saved", "Bytes received that were not sent up", "ratio", Side::kAbove, 0.5, &Measured::bandwidth_saved,
     "since the start"},
    {"utilisation", "Use of the event loops' cores", "ratio", Side::kAbove, 0.6, &Measured::utilisation,
     "the last minute"},
    {"cost", "CPU time for a request or an event", "us", Side::kNone, kNothing, &Measured::request_cost_us,
     "since the start"},
};

}  // namespace

std::string goals_json(const Measured& measured) {
  std::string out = R"({"goals":[)";
  for (const Goal& goal : kGoals) {
    const double value = measured.*goal.measured;
    fmt::format_to(std::back_inserter(out), R"({}{{"id":"{}","name":"{}","unit":"{}","goal":)",
                   out.back() == '[' ? "" : ",", goal.id, goal.name, goal.unit);
    append_number(out, goal.goal);
    fmt::format_to(std::back_inserter(out), R"(,"is":{},"measured":)",
                   goal.side == Side::kNone    ? "null"
                   : goal.side == Side::kBelow ? "\"below\""
                                               : "\"above\"");
    append_number(out, value);
    const bool is_known = std::isfinite(value) && goal.side != Side::kNone;
    const bool is_met = goal.side == Side::kBelow ? value < goal.goal : value > goal.goal;
    fmt::format_to(std::back_inserter(out), R"(,"met":{},"over":"{}"}})",
                   !is_known ? "null"
                   : is_met  ? "true"
                             : "false",
                   goal.over);
  }
  return out.append("]}");
}

}  // namespace verge::overview
