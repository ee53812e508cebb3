#include "node/readings.h"

#include <cstdio>

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "node/node.h"

namespace verge::node {

uint64_t resident_bytes() {
  uint64_t total = 0;
  uint64_t resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Totals::add(const mqtt::BrokerCounters& from) {
  connections += from.connections.value();
  connections_total += from.connections_total.value();
  refused += from.connections_refused.value();
  sessions += from.sessions.value();
  subscriptions += from.subscriptions.value();
  retained += from.retained.value();
  received += from.received.value();
  received_bytes += from.received_bytes.value();
  sent += from.sent.value();
  dropped += from.dropped.value();
  away_bytes += from.away_bytes.value();
  away_dropped += from.away_dropped.value();
  forward_dropped += from.forward_dropped.value();
  forward_held += from.forward_held.value();
  rate_held += from.rate_held.value();
  turns_ended += from.turns_ended.value();
  rate_closed += from.rate_closed.value();
  input_bytes += from.input_bytes.value();
  input_refused += from.input_refused.value();
  forbidden += from.forbidden.value();
  violations += from.violations.value();
  decision.add(from.decision);
}

void RuleReading::add(const rules::Evaluator& evaluator, size_t rule) {
  const rules::RuleCounters& counters = evaluator.counters(rule);
  matched += evaluator.matched(rule);
  rows += counters.fired.value();
  errors += counters.errors.value();
  late += counters.late.value();
  refused += counters.refused.value();
  forgotten += counters.forgotten.value();
  bytes += counters.bytes.value();
}

void Totals::add(const EventPathCounters& from) {
  events_http += from.events_http.value();
  events_child += from.events_child.value();
  actions += from.actions.value();
  uploads += from.uploads.value();
  drops += from.drops.value();
  purges += from.purges.value();
  webhooks += from.webhooks.value();
  not_performed += from.not_performed.value();
  posted_bytes += from.posted_bytes.value();
  awaiting_space += from.awaiting_space.value();
  given_up += from.given_up.value();
  late_rows += from.late_rows.value();
  crowded_rows += from.crowded_rows.value();
  at_parent += from.at_parent.value();
  short_of_parent += from.short_of_parent.value();
  calls += from.calls.value();
  failed_calls += from.failed_calls.value();
  asks += from.asks.value();
  decided += from.decided.value();
  replaced += from.replaced.value();
  late_decisions += from.late_decisions.value();
  fallbacks += from.fallbacks.value();
  rules.add(from.decision);
}

bool Node::is_parent_reached() const {
  return report_sender_ ? report_sender_->is_reached() : uplink_->counters().connected.load();
}

Readings Node::readings() const {
  Readings now;
  now.at = clock_.monotonic();
  now.time = clock_.wall();
  for (const Shard& shard : shards_) {
    now.totals.add(shard.broker->counters());
    now.totals.add(shard.path->counters());
  }
  for (const Priority stream : kPriorities) {
    const spool::StreamProgress& progress = spool_->progress(stream);
    now.queues[static_cast<size_t>(stream)] = {.records = uplink_ ? progress.undelivered.load() : 0,
                                               .bytes = progress.bytes,
                                               .dropped = progress.dropped,
                                               .oldest = uplink_ ? uplink_->waiting(stream) : Duration(0),
                                               .late = uplink_ ? uplink_->late(stream) : Duration(0)};
  }
  now.dead_letters = spool_->dead_letters();
  if (uplink_) {
    const spool::UplinkCounters& sent = uplink_->counters();
    now.has_parent = true;
    now.parent_reached = is_parent_reached();
    now.spool_full = spool_->is_full();
    now.sent_bytes = sent.bytes_sent;
    now.line_bytes_per_s = sent.line_bytes_per_s;
    now.compression_level = sent.compression_level;
  }
  now.has_sites = sites() != nullptr;
  now.sites = site_totals();
  for (const Workers::Totals& worker : workers_->totals()) {
    now.workers.push_back({.name = worker.name, .calls = worker.calls, .errors = worker.errors});
  }
  sites_->add_times(now.answered, now.origin);
  now.cpu_seconds = cpu_seconds();
  now.resident_bytes = resident_bytes();
  struct statvfs system{};
  if (::statvfs(data_directory_.path().c_str(), &system) == 0) {
    now.disk_free_bytes = static_cast<uint64_t>(system.f_bavail) * system.f_frsize;
  }
  now.certificate_ends_s = certificate_ends_;
  now.certificate_begins_s = certificate_begins_;
  now.loops = shards_.size();
  return now;
}

}  // namespace verge::node
