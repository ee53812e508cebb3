#include "node/overview.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/version.h"
#include "overview/goals.h"

namespace verge::node {
namespace {

using overview::Absent;
using overview::Figure;
using overview::Figures;
using overview::kNothing;
using overview::State;

constexpr Duration kBaseEvery = std::chrono::seconds(30);
constexpr Duration kParentPatience = std::chrono::seconds(10);  // of a node that has just begun
// Of fewer the slowest says little.
constexpr uint64_t kRequestsMin = 50;
// How often a deeper node is told of again, and how many at most.
constexpr Duration kClimbEvery = std::chrono::seconds(10);

// What climbs: an edge's line may be paid by the byte.
constexpr Figure kClimbing[] = {
    Figure::kEventsPerSecond,   Figure::kDecisionsPerSecond, Figure::kDecisionP99,   Figure::kWaitingRecords,
    Figure::kRequestsPerSecond, Figure::kRequestP99,         Figure::kCacheHitRatio, Figure::kCpu};

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }
double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

double ratio(uint64_t part, uint64_t all) {
  return all == 0 ? kNothing : static_cast<double>(part) / static_cast<double>(all);
}

// In milliseconds; nothing where nothing was measured.
double quantile_ms(const Histogram::Snapshot& snapshot, double q) {
  return snapshot.count == 0 ? kNothing : milliseconds(snapshot.quantile(q));
}

double rounded(double value) {
  if (!std::isfinite(value) || value == 0) return value;
  const double scale = std::pow(10.0, 2 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

State state_of(const ParentSeen& seen, bool is_reached, MonotonicTime now) {
  if (seen.who && seen.every > Duration(0)) return overview::state_after(now - seen.heard, seen.every);
  if (is_reached) return State::kLive;
  return seen.who ? State::kOffline : State::kNeverSeen;
}

void append_parent(std::string& out, const ParentSeen& seen, bool is_reached, MonotonicTime now) {
  const bool is_known = seen.who.has_value();
  const Duration silence = now - seen.heard;
  const State state = state_of(seen, is_reached, now);
  const auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"url":{},"state":"{}","delivering":{})", json_string(seen.url), name_of(state),
                 is_reached && state == State::kLive);
  if (is_known) {
    fmt::format_to(to, R"(,"id":"{}","name":{},"tier":"{}","site":{},"version":{},"heard_ms_ago":{})",
                   seen.who->id.text(), json_string(seen.who->name), name_of(seen.who->tier),
                   json_string(seen.who->site), json_string(seen.who->version),
                   static_cast<int64_t>(milliseconds(silence)));
  }
  out.append(R"(,"round_trip_ms":)");
  overview::append_number(out, rounded(seen.round_trip_ms));
  out.push_back('}');
}

}  // namespace

Histogram::Snapshot between(const Histogram::Snapshot& before, const Histogram::Snapshot& now) {
  Histogram::Snapshot made = now;
  for (size_t i = 0; i < made.counts.size(); ++i) made.counts[i] -= std::min(made.counts[i], before.counts[i]);
  made.count -= std::min(made.count, before.count);
  made.sum_ns -= std::min(made.sum_ns, before.sum_ns);
  return made;
}

Figures figures_of(const Readings& base, const Readings& last, const Readings& now) {
  Figures figures;
  const double interval = std::max(1e-3, seconds(now.at - last.at));
  const auto rate = [&](uint64_t before, uint64_t after) {
    return rounded(static_cast<double>(after - std::min(after, before)) / interval);
  };
  figures[Figure::kEventsPerSecond] = rate(last.totals.events(), now.totals.events());
  figures[Figure::kReceivedPerSecond] =
      rate(last.totals.received_bytes + last.totals.posted_bytes, now.totals.received_bytes + now.totals.posted_bytes);
  figures[Figure::kDecisionsPerSecond] = rate(last.totals.actions, now.totals.actions);
  const Histogram::Snapshot decision = between(base.totals.decision, now.totals.decision);
  figures[Figure::kDecisionP50] = rounded(quantile_ms(decision, 0.5) * 1e3);
  figures[Figure::kDecisionP99] = rounded(quantile_ms(decision, 0.99) * 1e3);
  figures[Figure::kDecisionsUnder1ms] = ratio(decision.count_at_most(std::chrono::milliseconds(1)), decision.count);
  uint64_t spool_bytes = 0;
  for (const Readings::Queue& queue : now.queues) spool_bytes += queue.bytes;
  figures[Figure::kSpoolBytes] = static_cast<double>(spool_bytes);
  figures[Figure::kDeadLetters] = static_cast<double>(now.dead_letters);
  if (now.has_parent) {
    figures[Figure::kSentPerSecond] = rate(last.sent_bytes, now.sent_bytes);
    uint64_t waiting = 0;
    Duration oldest{0};
    for (const Readings::Queue& queue : now.queues) {
      waiting += queue.records;
      oldest = std::max(oldest, queue.oldest);
    }
    figures[Figure::kWaitingRecords] = static_cast<double>(waiting);
    figures[Figure::kOldestWaiting] = std::round(milliseconds(oldest));
    figures[Figure::kLineSpeed] = static_cast<double>(now.line_bytes_per_s);
    figures[Figure::kCompressionLevel] = now.compression_level;
  }
  figures[Figure::kConnections] = static_cast<double>(now.totals.connections);
  if (now.has_sites) {
    figures[Figure::kRequestsPerSecond] = rate(last.sites.requests, now.sites.requests);
    const Histogram::Snapshot answered = between(base.answered, now.answered);
    figures[Figure::kRequestP50] = rounded(quantile_ms(answered, 0.5));
    figures[Figure::kRequestP99] = rounded(quantile_ms(answered, 0.99));
    figures[Figure::kOriginP50] = rounded(quantile_ms(between(base.origin, now.origin), 0.5));
    const Sites::Totals sites = now.sites.since(base.sites);
    if (sites.asked() > 0) figures[Figure::kEdgeHitRatio] = sites.edge_hit_ratio();
    if (sites.storable() > 0) figures[Figure::kCacheHitRatio] = sites.hit_ratio();
    figures[Figure::kCollapsedPerSecond] = rate(last.sites.collapsed, now.sites.collapsed);
    figures[Figure::kStalePerSecond] = rate(last.sites.stale, now.sites.stale);
    figures[Figure::kFailuresPerSecond] = rate(last.sites.failures, now.sites.failures);
  }
  figures[Figure::kCpu] =
      rounded(std::max(0.0, now.cpu_seconds - base.cpu_seconds) / std::max(1e-3, seconds(now.at - base.at)));
  figures[Figure::kResidentBytes] = static_cast<double>(now.resident_bytes);
  if (now.disk_free_bytes) figures[Figure::kDiskFreeBytes] = static_cast<double>(*now.disk_free_bytes);
  return figures;
}

Overview::Overview(runtime::Loop& loop, Options options, Read read)
    : loop_(loop),
      options_(std::move(options)),
      read_(std::move(read)),
      roster_(options_.id, options_.children),
      timer_(loop) {}

void Overview::start() {
  loop_.tick();
  first_ = std::make_unique<Readings>(read_());
  last_ = std::make_unique<Readings>(*first_);
  for (auto& base : bases_) base = std::make_unique<Readings>(*first_);
  timer_.after(overview::History::kEvery, [this] { sample(); });
}

void Overview::sample() {
  loop_.tick();
  timer_.after(overview::History::kEvery, [this] { sample(); });
  auto now = std::make_unique<Readings>(read_());
  figures_ = figures_of(base(), *last_, *now);
  history_.add(now->at, now->time, figures_);
  if (now->at - bases_[1]->at >= kBaseEvery) {
    bases_[0] = std::move(bases_[1]);
    bases_[1] = std::make_unique<Readings>(*now);
  }
  last_ = std::move(now);
  roster_.look(last_->at);
  ++samples_;
}

void Overview::look() { roster_.look(clock_.monotonic()); }

overview::NodeReport Overview::self() const {
  overview::NodeReport made;
  made.id = options_.id;
  made.name = options_.name;
  made.tier = options_.tier;
  made.site = options_.site;
  made.version = kVersion;
  made.position = options_.position;
  made.uptime_s = static_cast<uint64_t>(seconds(clock_.monotonic() - options_.started));
  if (parent_) {
    const ParentSeen parent = parent_();
    if (parent.who) made.parent = parent.who->id;
    made.round_trip_ms = rounded(parent.round_trip_ms);
    made.skew_ms = parent.skew_ms;
  }
  made.figures = figures_;
  return made;
}

Result<std::string> Overview::receive(std::string_view body) {
  Result<overview::Report> report = overview::parse_report(body);
  if (!report) return std::unexpected(report.error());
  const MonotonicTime now = clock_.monotonic();
  if (Result<void> taken = roster_.receive(std::move(*report), now, clock_.wall()); !taken) {
    return std::unexpected(taken.error());
  }
  roster_.look(now);
  return overview::answer_json({.id = options_.id,
                                .name = options_.name,
                                .tier = options_.tier,
                                .site = options_.site,
                                .version = std::string(kVersion),
                                .now = clock_.wall()});
}

overview::Report Overview::report(const std::map<NodeId, Climbed>& climbed) const {
  overview::Report made;
  overview::NodeReport own = self();
  own.parent = {};
  own.skew_ms = kNothing;  // the parent measures that itself
  Figures climbing;
  for (const Figure figure : kClimbing) climbing[figure] = own.figures[figure];
  if (!counts_enough()) climbing[Figure::kCacheHitRatio] = kNothing;
  own.figures = climbing;
  made.nodes.push_back(std::move(own));
  // About as many as fit; the others follow with the next one.
  constexpr size_t kNodeBytes = 700;
  constexpr size_t kNodesMax = overview::Report::kBytesMax / kNodeBytes;
  const MonotonicTime now = clock_.monotonic();
  for (const auto& [id, seen] : roster_.nodes()) {
    const auto before = climbed.find(id);
    const bool is_news =
        before == climbed.end() || before->second.state != seen.report.state || now - before->second.at >= kClimbEvery;
    if (!is_news) continue;
    if (made.nodes.size() == kNodesMax) break;
    made.nodes.push_back(seen.report);
  }
  return made;
}

std::vector<overview::NodeReport> Overview::nodes() const {
  std::vector<overview::NodeReport> all = {self()};
  for (const auto& [id, seen] : roster_.nodes()) all.push_back(seen.report);
  return all;
}

std::string Overview::parent_json() const {
  std::string out;
  if (!parent_) return "null";
  append_parent(out, parent_(), last_ && last_->parent_reached, clock_.monotonic());
  return out;
}

std::string Overview::tree_json(uint64_t since) const {
  std::string out = fmt::format(R"({{"change":{},"all":{},"self":)", roster_.change(), since == 0);
  overview::NodeReport own = self();
  append_node(out, own, Absent::kNull);
  out.append(",\"parent\":").append(parent_json()).append(",\"nodes\":[");
  struct Region {
    size_t nodes = 0, live = 0, measured = 0;
    double sum_ms = 0;
  };
  std::map<std::string, Region> regions;
  const auto count = [&](const overview::NodeReport& node) {
    Region& region = regions[node.site];
    ++region.nodes;
    region.live += node.state == State::kLive ? 1 : 0;
    if (!std::isfinite(node.round_trip_ms)) return;
    region.sum_ms += node.round_trip_ms;
    ++region.measured;
  };
  count(own);
  bool first = true;
  for (const auto& [id, seen] : roster_.nodes()) {
    count(seen.report);
    if (seen.changed <= since) continue;
    if (!std::exchange(first, false)) out.push_back(',');
    overview::NodeReport shown = seen.report;
    Figures figures;
    for (const Figure figure : kClimbing) figures[figure] = shown.figures[figure];
    shown.figures = figures;
    append_node(out, shown, Absent::kNull);
  }
  out.append("],\"never_seen\":[");
  for (const std::string& name : roster_.never_seen()) {
    if (out.back() != '[') out.push_back(',');
    append_json_string(out, name);
  }
  out.append("],\"regions\":[");
  for (const auto& [site, region] : regions) {
    fmt::format_to(std::back_inserter(out), R"({}{{"site":{},"nodes":{},"live":{},"round_trip_ms":)",
                   out.back() == '[' ? "" : ",", json_string(site), region.nodes, region.live);
    overview::append_number(
        out, region.measured == 0 ? kNothing : rounded(region.sum_ms / static_cast<double>(region.measured)));
    out.push_back('}');
  }
  fmt::format_to(std::back_inserter(out), R"(],"left_out":{}}})", roster_.left_out());
  return out;
}

std::string Overview::now_json() const {
  const Readings& now = *last_;
  std::string out = fmt::format(R"({{"time_ms":{},"figures":)", now.time.microseconds / 1000);
  append_figures(out, figures_, Absent::kNull);
  out.append(R"(,"queues":[)");
  for (const Priority stream : kPriorities) {
    const Readings::Queue& queue = now.queues[static_cast<size_t>(stream)];
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"priority":"{}","records":{},"bytes":{},"oldest_ms":{},"dropped":{}}})",
                   out.back() == '[' ? "" : ",", name_of(stream), queue.records, queue.bytes,
                   static_cast<int64_t>(milliseconds(queue.oldest)), queue.dropped);
  }
  const Totals& totals = now.totals;
  fmt::format_to(
      std::back_inserter(out),
      R"(],"totals":{{"events":{},"received_bytes":{},"sent_bytes":{},"decisions":{},"drops":{},"requests":{},"hits":{},"misses":{},"collapsed":{},"stale":{},"failures":{}}},"has_parent":{},"has_sites":{}}})",
      totals.events(), totals.received_bytes + totals.posted_bytes, now.sent_bytes, totals.actions, totals.drops,
      now.sites.requests, now.sites.hits, now.sites.misses, now.sites.collapsed, now.sites.stale, now.sites.failures,
      now.has_parent, now.has_sites);
  return out;
}

bool Overview::counts_enough() const {
  constexpr uint64_t kStorableMin = 50;
  return last_ && last_->sites.since(base().sites).storable() >= kStorableMin;
}

std::vector<overview::WorkerCalls> Overview::worker_calls() const {
  std::vector<overview::WorkerCalls> made = last_->workers;
  for (overview::WorkerCalls& worker : made) {
    for (const overview::WorkerCalls& before : base().workers) {
      // One that was deployed anew counts from nothing.
      if (before.name != worker.name || before.calls > worker.calls || before.errors > worker.errors) continue;
      worker.calls -= before.calls;
      worker.errors -= before.errors;
    }
  }
  return made;
}

std::string Overview::insights_json() const {
  overview::NodeReport own = self();
  if (!counts_enough()) own.figures[Figure::kCacheHitRatio] = kNothing;
  const Sites::Totals requests = last_->sites.since(base().sites);
  if (requests.requests < kRequestsMin) own.figures[Figure::kRequestP99] = kNothing;
  const std::vector<overview::WorkerCalls> workers = worker_calls();
  // Who has just begun has not had the time to reach it.
  std::string away;
  if (const bool is_new = last_->at - first_->at < kParentPatience; last_->has_parent && parent_ && !is_new) {
    const ParentSeen seen = parent_();
    if (state_of(seen, last_->parent_reached, clock_.monotonic()) != State::kLive) away = seen.url;
  }
  const std::vector<overview::Insight> found =
      overview::insights_of({.self = own,
                             .history = history_,
                             .roster = roster_,
                             .workers = workers,
                             .parent_away = away,
                             .spool_full = last_->spool_full,
                             .requests = requests.requests,
                             .failures = requests.failures + requests.unworked,
                             .certificate_ends_s = last_->certificate_ends_s,
                             .certificate_begins_s = last_->certificate_begins_s,
                             .now_s = last_->time.microseconds / 1'000'000});
  return overview::insights_json(found);
}

std::string Overview::goals_json() const {
  const Readings& now = *last_;
  overview::Measured measured;
  measured.request_p50_ms = figures_[Figure::kRequestP50];
  measured.request_p99_ms = figures_[Figure::kRequestP99];
  measured.edge_hit_ratio = figures_[Figure::kEdgeHitRatio];
  if (now.sites.requests > 0) measured.availability = now.sites.availability();
  const bool has_waiting = figures_[Figure::kWaitingRecords] > 0;
  if (now.has_parent && (now.sent_bytes > 0 || has_waiting)) {
    const Readings::Queue& latest = *std::ranges::max_element(now.queues, {}, &Readings::Queue::late);
    measured.lag_ms = std::round(milliseconds(latest.late));
  }
  const uint64_t received = now.totals.received_bytes + now.totals.posted_bytes;
  if (now.has_parent && received > 0) measured.bandwidth_saved = 1 - ratio(now.sent_bytes, received);
  // Who has nothing to do uses nothing, and that is no fault.
  const uint64_t lately = now.sites.requests - base().sites.requests + now.totals.events() - base().totals.events();
  if (lately > 0) measured.utilisation = figures_[Figure::kCpu] / static_cast<double>(std::max<size_t>(1, now.loops));
  const uint64_t work = now.sites.requests + now.totals.events();
  if (work > 0) {
    measured.request_cost_us = rounded((now.cpu_seconds - first_->cpu_seconds) * 1e6 / static_cast<double>(work));
  }
  return overview::goals_json(measured);
}

}  // namespace verge::node
