// Insights: what of a node's figures, and of the nodes below it, somebody should look at, each with what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "overview/history.h"
#include "overview/node_report.h"
#include "overview/roster.h"

namespace verge::overview {

enum class Level : uint8_t { kWarning, kMedium, kInfo };
std::string_view name_of(Level level);

struct Insight {
  std::string_view id;  // stable: "nodes-offline"
  Level level = Level::kInfo;
  std::string node;  // whom it is about
  std::string message;
  std::string recommendation;
};

// What a worker was called for, of late.
struct WorkerCalls {
  std::string name;
  uint64_t calls = 0;
  uint64_t errors = 0;  // calls that failed
};

// What insights are drawn from.
struct Observed {
  const NodeReport& self;
  const History& history;
  const Roster& roster;
  std::span<const WorkerCalls> workers;  // of self
  std::string parent_away;               // its URL, where it is not reached
  bool spool_full = false;               // records are refused
  uint64_t requests = 0;                 // of late, at self
  uint64_t failures = 0;                 // of these, answered with an error of the node's own making
  int64_t certificate_ends_s = 0;        // since 1970; 0: there is none
  int64_t certificate_begins_s = 0;      // likewise
  int64_t now_s = 0;
};

inline constexpr size_t kInsightsMax = 200;

// The gravest first. Thresholds: nodes offline > 0, or the parent; a spool that refuses records; dead letters > 0; one
// request in a hundred that is answered with an error here, three at least; less than 256 MiB free on the disk; p99 of
// requests > 100 ms; hit rate < 0.9 (who has it counts enough requests for that); a worker that fails in one of a
// hundred calls, three at least; a backlog that grows for five minutes; a disk that is full within a day at the pace of
// the last hour; a certificate that ends within 14 days; a clock that is more than a second off.
std::vector<Insight> insights_of(const Observed& observed);

// In how many hours the disk is full at the pace of the last hour: needs ten minutes of it, and that it fills.
std::optional<double> hours_until_full(const History& history);
// Whether what waits for the parent grew over the last five minutes, by a tenth and a hundred records at least.
bool is_backlog_growing(const History& history);

std::string insights_json(std::span<const Insight> insights);

}  // namespace verge::overview
