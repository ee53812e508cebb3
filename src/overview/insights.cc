#include "overview/insights.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "overview/goals.h"

namespace verge::overview {
namespace {

constexpr double kP99MaxMs = 100;
// Before the goal is missed.
constexpr double kHitRatioMin = 0.9;
constexpr uint64_t kWorkerErrorsMin = 3;
constexpr double kWorkerErrorShare = 0.01;
constexpr uint64_t kFailuresMin = 3;
constexpr double kFailureShare = 0.01;
constexpr double kDiskFreeMin = 256.0 * (1U << 20);
constexpr double kDiskHoursMax = 24;
constexpr double kDiskHoursGrave = 4;
constexpr int64_t kCertificateDays = 14;
constexpr double kSkewMaxMs = 1000;
constexpr int64_t kSecondsADay = 86'400;
constexpr int64_t kSecondsAnHour = 3600;
constexpr size_t kNamesShown = 5;

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    text.append(i == 0 ? "" : ", ").append(names[i]);
  }
  if (names.size() > kNamesShown) fmt::format_to(std::back_inserter(text), " and {} more", names.size() - kNamesShown);
  return text;
}

// What can be said of any node by its figures.
void look_at(const NodeReport& node, double skew_ms, std::vector<Insight>& out) {
  const double p99 = node.figures[Figure::kRequestP99];
  if (p99 > kP99MaxMs) {
    out.push_back(
        {"request-p99", Level::kMedium, node.name,
         fmt::format("one request in a hundred takes more than {:.0f} ms at {} (100 ms are aimed at)", p99, node.name),
         "look at the origin's time on Requests: cache more of it, or bring the origin nearer"});
  }
  if (const double letters = node.figures[Figure::kDeadLetters]; letters > 0) {
    out.push_back({"dead-letters", Level::kMedium, node.name,
                   fmt::format("{:.0f} records of {} were given up on and lie as dead letters", letters, node.name),
                   "'verge spool dlq ls' there says why; 'verge spool dlq replay' sends them again"});
  }
  const double hits = node.figures[Figure::kCacheHitRatio];
  if (hits < kHitRatioMin) {
    out.push_back({"hit-ratio", Level::kInfo, node.name,
                   fmt::format("{:.0f} % of the requests that could be were answered from the cache of {}, "
                               "fewer than {:.0f} % (the goal is {:.0f} %)",
                               hits * 100, node.name, kHitRatioMin * 100, kCacheHitRatioGoal * 100),
                   "give answers a longer max-age and purge by tag, leave parameters out of the key (ignored_query), "
                   "or give the cache more memory"});
  }
  if (std::abs(skew_ms) > kSkewMaxMs) {
    out.push_back({"clock-skew", Level::kWarning, node.name,
                   fmt::format("the clock of {} is {:.1f} s {} that of its parent", node.name, std::abs(skew_ms) / 1000,
                               skew_ms > 0 ? "before" : "behind"),
                   "let chrony or systemd-timesyncd set the clocks of both: times of events and windows are wrong"});
  }
}

void look_at_nodes(const Observed& observed, std::vector<Insight>& out) {
  std::vector<std::string> offline;
  for (const auto& [id, seen] : observed.roster.nodes()) {
    if (seen.report.state == State::kOffline) offline.push_back(seen.report.name);
  }
  if (!offline.empty()) {
    std::ranges::sort(offline);
    out.push_back({"nodes-offline", Level::kWarning, offline.front(),
                   fmt::format("{} {} offline: {}", offline.size(), offline.size() == 1 ? "node is" : "nodes are",
                               some_of(offline)),
                   "look whether the machine has power and its line; what it stores meanwhile climbs when it is back"});
  }
  if (const std::vector<std::string> never = observed.roster.never_seen(); !never.empty()) {
    out.push_back({"nodes-never-seen", Level::kWarning, never.front(),
                   fmt::format("{} expected {} never reported: {}", never.size(),
                               never.size() == 1 ? "node has" : "nodes have", some_of(never)),
                   "look at parent.url and parent.token there, or take its name out of node.children"});
  }
}

void look_at_workers(const Observed& observed, std::vector<Insight>& out) {
  for (const WorkerCalls& worker : observed.workers) {
    if (worker.errors < kWorkerErrorsMin || worker.errors < kWorkerErrorShare * static_cast<double>(worker.calls)) {
      continue;
    }
    out.push_back({"worker-errors", Level::kWarning, observed.self.name,
                   fmt::format("worker {} failed in {} of its last {} calls at {} ({:.0f} %)", worker.name,
                               worker.errors, worker.calls, observed.self.name,
                               100 * static_cast<double>(worker.errors) / static_cast<double>(worker.calls)),
                   fmt::format("see why with 'verge worker tail {} --status error'; what was deployed is taken back "
                               "with 'verge worker rollback {}'",
                               worker.name, worker.name)});
  }
}

void look_at_parent(const Observed& observed, std::vector<Insight>& out) {
  const std::string& name = observed.self.name;
  if (!observed.parent_away.empty()) {
    out.push_back(
        {"parent-away", Level::kWarning, name,
         fmt::format("{} does not reach its parent {}", name, observed.parent_away),
         "'verge doctor --config FILE' there, and its log, say why; what is acknowledged waits in its spool, as "
         "far as that has room"});
  }
  if (observed.spool_full) {
    out.push_back({"spool-full", Level::kWarning, name,
                   fmt::format("the spool of {} is full: records are refused", name),
                   "bring the parent back, free space on the disk, or raise spool.bytes_max"});
  }
}

void look_at_failures(const Observed& observed, std::vector<Insight>& out) {
  if (observed.failures < kFailuresMin) return;
  const double share =
      static_cast<double>(observed.failures) / static_cast<double>(std::max<uint64_t>(observed.requests, 1));
  if (share < kFailureShare) return;
  out.push_back({"request-failures", Level::kWarning, observed.self.name,
                 fmt::format("{} of the last {} requests at {} were answered with an error of its own ({:.0f} %)",
                             observed.failures, observed.requests, observed.self.name, 100 * share),
                 "the access log and the node's log name the origin or the worker that fails"});
}

void look_at_disk(const Observed& observed, std::vector<Insight>& out) {
  if (const double free = observed.self.figures[Figure::kDiskFreeBytes]; free < kDiskFreeMin) {
    out.push_back(
        {"disk-low", Level::kWarning, observed.self.name,
         fmt::format("{} are free on the disk of {}", format_size(static_cast<uint64_t>(free)), observed.self.name),
         "free space, or move node.data_dir to a larger disk: without any, records are refused"});
    return;
  }
  const std::optional<double> hours = hours_until_full(observed.history);
  if (!hours || *hours > kDiskHoursMax) return;
  out.push_back(
      {"disk-full", *hours < kDiskHoursGrave ? Level::kWarning : Level::kMedium, observed.self.name,
       fmt::format("the disk of {} is full in {:.1f} hours if it goes on like this", observed.self.name, *hours),
       "free space, lower spool.bytes_max, send less up by rules, or bring the parent back"});
}

}  // namespace

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kWarning:
      return "warning";
    case Level::kMedium:
      return "medium";
    case Level::kInfo:
      return "info";
  }
  return "";
}

std::optional<double> hours_until_full(const History& history) {
  const size_t samples = history.size();
  if (samples < 2) return std::nullopt;
  const size_t back = samples - 1;
  const double seconds = static_cast<double>(history.time(0).microseconds - history.time(back).microseconds) / 1e6;
  constexpr double kSecondsMin = 600;
  if (seconds < kSecondsMin) return std::nullopt;
  const double free = history.value(Figure::kDiskFreeBytes, 0);
  const double taken = history.value(Figure::kDiskFreeBytes, back) - free;
  // Less than this is the noise of logs and of whatever else is on the disk.
  constexpr double kTakenMin = 16.0 * (1U << 20);
  if (!(taken > kTakenMin)) return std::nullopt;
  return free / taken * seconds / 3600;
}

bool is_backlog_growing(const History& history) {
  const size_t samples = history.within(std::chrono::minutes(5));
  constexpr size_t kParts = 5;
  if (samples < History::kSamples / 12 - kParts) return false;  // five minutes of them
  // It grows from each minute to the next.
  double before = history.value(Figure::kWaitingRecords, samples - 1);
  const double first = before;
  for (size_t part = kParts - 1; part-- > 0;) {
    const double now = history.value(Figure::kWaitingRecords, samples * part / kParts);
    if (!(now > before)) return false;
    before = now;
  }
  return before - first >= std::max(100.0, first / 10);
}

std::vector<Insight> insights_of(const Observed& observed) {
  std::vector<Insight> out;
  look_at_nodes(observed, out);
  look_at_parent(observed, out);
  look_at_failures(observed, out);
  if (is_backlog_growing(observed.history)) {
    out.push_back({"backlog", Level::kMedium, observed.self.name,
                   fmt::format("{:.0f} records wait for the parent of {}, and they become more",
                               observed.history.value(Figure::kWaitingRecords, 0), observed.self.name),
                   "see whether the parent is reached; aggregate more by rules, or give the line more bandwidth"});
  }
  look_at_workers(observed, out);
  look_at_disk(observed, out);
  if (observed.certificate_ends_s != 0) {
    const int64_t left = observed.certificate_ends_s - observed.now_s;
    if (left < kCertificateDays * kSecondsADay) {
      out.push_back({"certificate", Level::kWarning, observed.self.name,
                     left <= 0
                         ? fmt::format("a certificate of {} has ended", observed.self.name)
                         : fmt::format("a certificate of {} ends in {} days", observed.self.name, left / kSecondsADay),
                     "put a new one in its place and send SIGHUP"});
    }
  }
  if (observed.certificate_begins_s > observed.now_s) {
    out.push_back({"certificate", Level::kWarning, observed.self.name,
                   fmt::format("a certificate of {} is not good yet: it begins in {} hours", observed.self.name,
                               (observed.certificate_begins_s - observed.now_s) / kSecondsAnHour + 1),
                   "put one in its place that is, and send SIGHUP; or see whether the clock is right"});
  }
  look_at(observed.self, observed.self.skew_ms, out);
  for (const auto& [id, seen] : observed.roster.nodes()) {
    if (seen.report.state == State::kLive) look_at(seen.report, seen.report.skew_ms, out);
  }
  std::vector<Insight> gravest_first;
  for (const Level level : {Level::kWarning, Level::kMedium, Level::kInfo}) {
    for (Insight& each : out) {
      if (each.level == level && gravest_first.size() < kInsightsMax) gravest_first.push_back(std::move(each));
    }
  }
  return gravest_first;
}

std::string insights_json(std::span<const Insight> insights) {
  std::string out = R"({"insights":[)";
  for (const Insight& insight : insights) {
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"id":"{}","level":"{}","node":{},"message":{},"recommendation":{}}})",
                   out.back() == '[' ? "" : ",", insight.id, name_of(insight.level), json_string(insight.node),
                   json_string(insight.message), json_string(insight.recommendation));
  }
  return out.append("]}");
}

}  // namespace verge::overview
