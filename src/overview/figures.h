// Figures: how a node is doing, as numbers; each is the same in the history, in what climbs the tree, and in answers.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace verge::overview {

enum class Figure : uint8_t {
  kEventsPerSecond,     // that came in by MQTT, HTTP and from children
  kReceivedPerSecond,   // bytes of MQTT clients, HTTP clients and children
  kSentPerSecond,       // bytes to the parent
  kDecisionsPerSecond,  // commands that rules made
  kDecisionP50,         // µs
  kDecisionP99,         // µs
  kDecisionsUnder1ms,   // share
  kWaitingRecords,      // for the parent
  kOldestWaiting,       // ms, of these
  kDeadLetters,
  kLineSpeed,         // bytes a second
  kCompressionLevel,  // of batches
  kConnections,       // of MQTT clients
  kRequestsPerSecond,
  kRequestP50,     // ms
  kRequestP99,     // ms
  kOriginP50,      // ms
  kEdgeHitRatio,   // share of all requests
  kCacheHitRatio,  // share of those that the cache may answer
  kCollapsedPerSecond,
  kStalePerSecond,
  kFailuresPerSecond,
  kCpu,  // cores
  kResidentBytes,
  kSpoolBytes,
  kDiskFreeBytes,
};
inline constexpr size_t kFigureCount = 26;

struct FigureName {
  std::string_view name;
  std::string_view unit;
};
inline constexpr std::array<FigureName, kFigureCount> kFigureNames = {{
    {"events_per_s", "1/s"},
    {"received_bytes_per_s", "B/s"},
    {"sent_bytes_per_s", "B/s"},
    {"decisions_per_s", "1/s"},
    {"decision_p50_us", "us"},
    {"decision_p99_us", "us"},
    {"decisions_under_1ms", "ratio"},
    {"waiting_records", "1"},
    {"oldest_waiting_ms", "ms"},
    {"dead_letters", "1"},
    {"line_bytes_per_s", "B/s"},
    {"compression_level", "1"},
    {"connections", "1"},
    {"requests_per_s", "1/s"},
    {"request_p50_ms", "ms"},
    {"request_p99_ms", "ms"},
    {"origin_p50_ms", "ms"},
    {"edge_hit_ratio", "ratio"},
    {"cache_hit_ratio", "ratio"},
    {"collapsed_per_s", "1/s"},
    {"stale_per_s", "1/s"},
    {"failures_per_s", "1/s"},
    {"cpu_cores", "1"},
    {"resident_bytes", "B"},
    {"spool_bytes", "B"},
    {"disk_free_bytes", "B"},
}};

std::optional<Figure> parse_figure(std::string_view name);

inline constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

struct Figures {
  std::array<double, kFigureCount> values;  // NaN: nothing to say

  Figures() { values.fill(kNothing); }
  double& operator[](Figure figure) { return values[static_cast<size_t>(figure)]; }
  double operator[](Figure figure) const { return values[static_cast<size_t>(figure)]; }
};

// Six digits, or more where it is a whole number; null where it is none.
void append_number(std::string& out, double value);

enum class Absent { kNull, kOmit };
// {"events_per_s":12,…}
void append_figures(std::string& out, const Figures& figures, Absent absent);

}  // namespace verge::overview
