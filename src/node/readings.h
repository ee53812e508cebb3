// Readings: what a node's counters say at one time, added up over its loops.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "model/priority.h"
#include "node/event_path.h"
#include "node/sites.h"
#include "overview/insights.h"

namespace verge::node {

// The counters of event path and broker.
struct Totals {
  uint64_t connections = 0, connections_total = 0, refused = 0, sessions = 0, subscriptions = 0, retained = 0;
  uint64_t away_bytes = 0, away_dropped = 0, forward_dropped = 0, forward_held = 0, rate_held = 0, turns_ended = 0,
           rate_closed = 0, input_bytes = 0, input_refused = 0;
  uint64_t received = 0, received_bytes = 0, sent = 0, dropped = 0, forbidden = 0, violations = 0;
  uint64_t events_http = 0, events_child = 0, actions = 0, uploads = 0, drops = 0, purges = 0, webhooks = 0,
           not_performed = 0, awaiting_space = 0, given_up = 0, late_rows = 0, crowded_rows = 0, calls = 0,
           failed_calls = 0, asks = 0, decided = 0, replaced = 0, late_decisions = 0, fallbacks = 0, at_parent = 0,
           short_of_parent = 0;
  uint64_t posted_bytes = 0;
  Histogram::Snapshot decision;  // receipt to the command written
  Histogram::Snapshot rules;     // receipt to the rules done

  void add(const mqtt::BrokerCounters& from);
  void add(const EventPathCounters& from);
  [[nodiscard]] uint64_t events() const { return received + events_http + events_child; }
};

struct Readings {
  struct Queue {
    uint64_t records = 0;  // not delivered yet
    uint64_t bytes = 0;    // of its log
    uint64_t dropped = 0;
    Duration oldest{0};  // has waited so long, roughly
    Duration late{0};    // beyond what it may wait for its batch to fill
  };

  MonotonicTime at{};
  WallTime time;
  Totals totals;
  std::array<Queue, kPriorities.size()> queues;
  uint64_t dead_letters = 0;
  bool has_parent = false;
  bool parent_reached = false;  // its answers to reports, or to batches where there are none
  bool spool_full = false;
  uint64_t sent_bytes = 0;  // to the parent
  uint64_t line_bytes_per_s = 0;
  int compression_level = 0;
  bool has_sites = false;
  Sites::Totals sites;
  std::vector<overview::WorkerCalls> workers;  // since they are there
  Histogram::Snapshot answered;
  Histogram::Snapshot origin;
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0;
  std::optional<uint64_t> disk_free_bytes;  // nothing where the file system does not say
  int64_t certificate_ends_s = 0;           // since 1970; 0: there is none
  int64_t certificate_begins_s = 0;         // likewise
  size_t loops = 0;
};

// What all loops counted of a rule that runs.
struct RuleReading {
  std::string_view name;
  uint64_t matched = 0;
  uint64_t rows = 0;
  uint64_t errors = 0;
  uint64_t late = 0;
  uint64_t refused = 0;
  uint64_t forgotten = 0;
  uint64_t bytes = 0;

  void add(const rules::Evaluator& evaluator, size_t rule);
};

uint64_t resident_bytes();
double cpu_seconds();

}  // namespace verge::node
