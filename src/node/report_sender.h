// ReportSender: tells the parent how this node and those below it are (docs/formats/report.md), again and again, over
// connections of its own, so that no batch holds it up.
//
// A report that does not get through is not sent again: the next one says more. After a failure the next path is taken.
// A parent that does not take reports (404) is asked again after a minute.
//
// Reports are what first shows that the parent is not reached: the first batch may be a minute away
// (parent.batch_age_max). The log says so, unless the uplink has, after a failure on each path: once, and at most every
// minute for another reason; and once that it is reached again.
//
// Threading: on its loop, but for replace_access() and start().
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "base/seldom_line.h"
#include "net/http_client.h"
#include "net/resolver.h"
#include "node/overview.h"
#include "runtime/loop.h"
#include "spool/uplink.h"

namespace verge::node {

class ReportSender {
 public:
  // All outlive the sender. `paths`: one at least. `every`: more than nothing. `outage_is_said`: the uplink's.
  ReportSender(runtime::Loop& loop, Overview& overview, std::vector<spool::ParentPath> paths,
               std::vector<spool::ParentAccess> access, Duration every, std::atomic<bool>& outage_is_said);
  ~ReportSender();
  void start();
  // By path, for connections from now on.
  void replace_access(std::vector<spool::ParentAccess> access);

  [[nodiscard]] ParentSeen parent() const { return parent_; }
  // What the parent is, and how long the last report took there and back; any thread.
  [[nodiscard]] std::optional<std::pair<Tier, Duration>> measure() const {
    constexpr uint64_t kTierMask = 3;
    const uint64_t measure = measure_;
    if (measure == kNoMeasure) return std::nullopt;
    return std::pair(static_cast<Tier>(measure & kTierMask), Duration(std::chrono::microseconds(measure >> 2U)));
  }
  [[nodiscard]] uint64_t bytes_sent() const { return bytes_sent_; }  // any thread
  // The parent answered the last report, as a parent does, if only that it is busy. Any thread.
  [[nodiscard]] bool is_reached() const { return reached_; }
  // False: a report over the path failed, and none was answered since, on whichever. Any thread.
  [[nodiscard]] bool stands(size_t path) const { return path_stands_[path]; }
  [[nodiscard]] uint64_t failures() const { return failures_.value(); }  // reports that were not; any thread

 private:
  void send();
  void request();
  void on_answer(const Result<net::HttpAnswer>& answer);
  void on_reached();
  void on_not_reached(const Error& error);
  // Whoever answers is not the parent, or does not let this node in; another path would not change that.
  void on_turned_away(const Error& error);
  void fail(const Error& error);

  runtime::Loop& loop_;
  Overview& overview_;
  const std::vector<spool::ParentPath> paths_;
  std::vector<spool::ParentAccess> access_;
  const Duration every_;
  std::atomic<bool>& outage_is_said_;
  const SystemClock clock_;
  ParentSeen parent_;
  size_t path_ = 0;
  bool under_way_ = false;
  MonotonicTime began_{};  // what is under way
  MonotonicTime not_before_{};
  MonotonicTime sent_at_{};
  WallTime sent_time_;
  std::map<NodeId, Overview::Climbed> climbed_;
  std::map<NodeId, Overview::Climbed> climbing_;  // with the report that is under way
  net::Resolver resolver_{"resolver-report"};
  std::unique_ptr<net::HttpClient> client_;
  std::string authorization_;
  uint64_t earlier_bytes_ = 0;  // by clients that are gone
  static constexpr uint64_t kNoMeasure = UINT64_MAX;
  std::atomic<uint64_t> measure_{kNoMeasure};  // microseconds, and in the last two bits the tier
  std::atomic<uint64_t> bytes_sent_{0};
  std::atomic<bool> reached_{false};
  std::vector<std::atomic<bool>> path_stands_;
  Counter failures_;
  size_t failures_in_a_row_ = 0;
  std::string told_;           // the code of why the parent is not reached, as the log has it; empty: it does not
  bool is_told_here_ = false;  // and not by the uplink
  SeldomLine line_{std::chrono::minutes(1)};
  runtime::Timer timer_;
};

}  // namespace verge::node
