// Overview: what a node shows of itself and of the nodes below it: its figures every two seconds, an hour of them, the
// reports of children, insights and goals.
//
// Ratios and percentiles are of the last half to whole minute (between two readings of the counters that are kept for
// that); rates of the last two seconds.
//
// Threading: on the loop of the admin listener. What is kept has a fixed size (overview/history.h, overview/roster.h).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "node/readings.h"
#include "overview/history.h"
#include "overview/insights.h"
#include "overview/node_report.h"
#include "overview/roster.h"
#include "runtime/loop.h"

namespace verge::node {

// What is known of the parent by its answers to reports.
struct ParentSeen {
  std::string url;
  std::optional<overview::ReportAnswer> who;  // none: it never answered, or does not take reports
  MonotonicTime heard{};
  Duration every{0};  // reports are sent so often; 0: none are
  double round_trip_ms = overview::kNothing;
  double skew_ms = overview::kNothing;  // this node's clock before its own
};

class Overview {
 public:
  struct Options {
    NodeId id;
    std::string name;
    Tier tier = Tier::kEdge;
    std::string site;
    std::optional<overview::Position> position;
    std::vector<std::string> children;  // names of nodes that should report
    MonotonicTime started{};
  };
  using Read = std::function<Readings()>;

  // `loop` outlives it.
  Overview(runtime::Loop& loop, Options options, Read read);

  void start();
  // Looks at the parent from now on: asked each time.
  void look_at_parent(std::function<ParentSeen()> parent) { parent_ = std::move(parent); }

  // A child's report; the answer to it. Codes: report.malformed, report.loop.
  Result<std::string> receive(std::string_view body);
  // What this node would report now, but for every and sent; nodes below only where their state changed, or since
  // `climbed` of them is so old; it is brought up to date by climbed().
  struct Climbed {
    overview::State state = overview::State::kLive;
    MonotonicTime at{};
  };
  [[nodiscard]] overview::Report report(const std::map<NodeId, Climbed>& climbed) const;

  // Of /v1/now, /v1/insights, /v1/goals.
  [[nodiscard]] std::string now_json() const;
  [[nodiscard]] std::string insights_json() const;
  [[nodiscard]] std::string goals_json() const;
  [[nodiscard]] const overview::History& history() const { return history_; }
  // Of /v1/tree: nodes that changed after the change() `since`; all of them with 0.
  [[nodiscard]] std::string tree_json(uint64_t since) const;
  // Rises with each sample.
  [[nodiscard]] uint64_t samples() const { return samples_; }
  // Brings states up to date. What of the tree changes changes change(), or its parts().
  void look();
  [[nodiscard]] uint64_t change() const { return roster_.change(); }
  [[nodiscard]] uint64_t removals() const { return roster_.removals(); }
  // How the parent is, for who wants to see whether it changed.
  [[nodiscard]] std::string parent_json() const;
  // This node and those below.
  [[nodiscard]] std::vector<overview::NodeReport> nodes() const;

 private:
  void sample();
  [[nodiscard]] overview::NodeReport self() const;
  [[nodiscard]] const Readings& base() const { return *bases_[0]; }
  // Whether the cache was asked often enough, since base(), for its hit ratio to say something of a node.
  [[nodiscard]] bool counts_enough() const;
  // Since base().
  [[nodiscard]] std::vector<overview::WorkerCalls> worker_calls() const;

  runtime::Loop& loop_;
  const Options options_;
  const Read read_;
  const SystemClock clock_;
  std::function<ParentSeen()> parent_;
  overview::Roster roster_;
  overview::History history_;
  overview::Figures figures_;
  std::unique_ptr<Readings> first_;                 // at the start
  std::unique_ptr<Readings> last_;                  // of the last sample
  std::array<std::unique_ptr<Readings>, 2> bases_;  // half a minute apart, the older first
  uint64_t samples_ = 0;
  runtime::Timer timer_;
};

// What happened between two snapshots; the maximum is that of `now`.
Histogram::Snapshot between(const Histogram::Snapshot& before, const Histogram::Snapshot& now);
// The figures at `now`: rates since `last`, ratios and percentiles since `base`.
overview::Figures figures_of(const Readings& base, const Readings& last, const Readings& now);

}  // namespace verge::node
