// What a node says of itself: /v1/status for programs and people, /metrics for Prometheus.
#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"
#include "jetstream/stream_store.h"
#include "node/node.h"
#include "node/readings.h"
#include "overview/goals.h"
#include "rules/state_function.h"

namespace verge::node {
namespace {

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

// Writes metrics in the text format 0.0.4.
// A value of a label, with its quotes, as the exposition format has it: it knows three escapes. Control characters
// become U+FFFD.
std::string label_value(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') {
      out.append({'\\', c});
    } else if (c == '\n') {
      out.append("\\n");
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      out.append("\xef\xbf\xbd");
    } else {
      out.push_back(c);
    }
  }
  return out.append("\"");
}

class MetricsText {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP verge_{} {}\n# TYPE verge_{} {}\n", name, help, name, type);
    name_ = name;
  }
  void value(double value, std::string_view labels = "") {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(out_), "verge_{} {}\n", name_, value);
    } else {
      fmt::format_to(std::back_inserter(out_), "verge_{}{{{}}} {}\n", name_, labels, value);
    }
  }
  // Of a summary: its "_sum" and "_count".
  void total(std::string_view suffix, double value, std::string_view labels) {
    fmt::format_to(std::back_inserter(out_), "verge_{}{}{{{}}} {}\n", name_, suffix, labels, value);
  }
  void counter(std::string_view name, std::string_view help, uint64_t count) {
    family(name, "counter", help);
    value(static_cast<double>(count));
  }
  void gauge(std::string_view name, std::string_view help, double now) {
    family(name, "gauge", help);
    value(now);
  }
  void histogram(std::string_view name, std::string_view help, const Histogram::Snapshot& snapshot) {
    static constexpr int64_t kBoundsUs[] = {10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10'000, 100'000, 1'000'000};
    family(name, "histogram", help);
    for (const int64_t bound : kBoundsUs) {
      fmt::format_to(std::back_inserter(out_), "verge_{}_bucket{{le=\"{}\"}} {}\n", name,
                     static_cast<double>(bound) / 1e6, snapshot.count_at_most(std::chrono::microseconds(bound)));
    }
    fmt::format_to(std::back_inserter(out_), "verge_{}_bucket{{le=\"+Inf\"}} {}\nverge_{}_sum {}\nverge_{}_count {}\n",
                   name, snapshot.count, name, static_cast<double>(snapshot.sum_ns) / 1e9, name, snapshot.count);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::string name_;
};

std::string histogram_json(const Histogram::Snapshot& snapshot) {
  return fmt::format(R"({{"count":{},"p50_us":{:.1f},"p99_us":{:.1f},"max_us":{:.1f}}})", snapshot.count,
                     microseconds(snapshot.quantile(0.5)), microseconds(snapshot.quantile(0.99)),
                     static_cast<double>(snapshot.max_ns) / 1e3);
}

std::string overflow_json(const jetstream::StreamStore& stream) {
  const jetstream::OverflowCounters* overflow = stream.overflow_counters();
  if (!overflow) return "null";
  return fmt::format(R"({{"used":{},"ready":{},"messages":{},"records":{},"moved":{}}})", stream.diverted(),
                     overflow->apart.value() == 1, overflow->messages.value(), overflow->records.value(),
                     overflow->moved.value());
}

// Neither a batch nor a report failed last on the path. `reports`: null if none are sent.
bool stands(const spool::PathCounters& counters, const ReportSender* reports, size_t path) {
  return counters.stands && (reports == nullptr || reports->stands(path));
}

std::string paths_json(const ParentConfig& parent, std::span<const spool::PathCounters> counters,
                       const ReportSender* reports) {
  std::string out = "[";
  const std::vector<PathConfig> paths = parent.all_paths();
  for (size_t i = 0; i < counters.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"url":{},"bind":{},"stands":{},"sent":{},"won":{},"failures":{}}})",
                   i == 0 ? "" : ",", json_string(paths[i].url),
                   paths[i].bind.empty() ? "null" : json_string(paths[i].bind), stands(counters[i], reports, i),
                   counters[i].sent.value(), counters[i].won.value(), counters[i].failures.value());
  }
  return out.append("]");
}

void append_workers(std::string& out, const std::vector<Workers::Totals>& workers) {
  out.append(",\"workers\":[");
  for (const Workers::Totals& worker : workers) {
    fmt::format_to(
        std::back_inserter(out),
        R"({}{{"name":{},"version":{},"calls":{},"errors":{},"limited":{},"fallbacks":{},"subrequests":{},"cpu_s":{:.6f},"memory_bytes":{},"latency":{}}})",
        out.ends_with('[') ? "" : ",", json_string(worker.name), worker.version, worker.calls, worker.errors,
        worker.limited, worker.fallbacks, worker.subrequests, worker.cpu_seconds, worker.memory_bytes,
        histogram_json(worker.latency));
  }
  out.push_back(']');
}

// Families by worker.
void write_workers(MetricsText& out, const std::vector<Workers::Totals>& workers) {
  if (workers.empty()) return;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value_of) {
    out.family(name, type, help);
    for (const Workers::Totals& worker : workers) {
      out.value(static_cast<double>(value_of(worker)), fmt::format("worker={}", label_value(worker.name)));
    }
  };
  using Worker = Workers::Totals;
  family("worker_calls_total", "counter", "Calls of the worker.", [](const Worker& w) { return w.calls; });
  family("worker_errors_total", "counter", "Of these, those that failed.", [](const Worker& w) { return w.errors; });
  family("worker_limited_total", "counter", "Of these, those that went over a limit.",
         [](const Worker& w) { return w.limited; });
  family("worker_fallbacks_total", "counter", "Requests that went on as though there were no worker.",
         [](const Worker& w) { return w.fallbacks; });
  family("worker_subrequests_total", "counter", "What its calls fetched.",
         [](const Worker& w) { return w.subrequests; });
  family("worker_computed_total", "counter", "Requests that it answered without a subrequest.",
         [](const Worker& w) { return w.computed; });
  family("worker_cpu_seconds_total", "counter", "Processor time of its calls.",
         [](const Worker& w) { return w.cpu_seconds; });
  family("worker_memory_bytes", "gauge", "Memory of its isolates, when they said it last.",
         [](const Worker& w) { return w.memory_bytes; });
  out.family("worker_call_seconds", "summary", "From a call to the end of its answer.");
  for (const Worker& worker : workers) {
    for (const double q : {0.5, 0.99}) {
      out.value(std::chrono::duration<double>(worker.latency.quantile(q)).count(),
                fmt::format("worker={},quantile=\"{}\"", label_value(worker.name), q));
    }
    out.total("_sum", static_cast<double>(worker.latency.sum_ns) / 1e9,
              fmt::format("worker={}", label_value(worker.name)));
    out.total("_count", static_cast<double>(worker.latency.count), fmt::format("worker={}", label_value(worker.name)));
  }
}

// Families by namespace, and what the store did.
void write_kv(MetricsText& out, const kv::RocksStore* kv) {
  if (kv == nullptr) return;
  const std::vector<kv::SpaceTotals> spaces = kv->totals();
  const auto family = [&](std::string_view name, std::string_view help, const auto& value_of) {
    out.family(name, "gauge", help);
    for (const kv::SpaceTotals& space : spaces) {
      out.value(static_cast<double>(value_of(space)), fmt::format("namespace={}", label_value(space.name)));
    }
  };
  using Space = kv::SpaceTotals;
  family("kv_bytes", "Keys, values and metadata of the namespace.", [](const Space& space) { return space.bytes; });
  family("kv_bytes_max", "How many it may have.", [](const Space& space) { return space.bytes_max; });
  family("kv_keys", "Keys of the namespace.", [](const Space& space) { return space.keys; });
  out.counter("kv_writes_total", "Keys that were put or removed.", kv->writes());
  out.counter("kv_commits_total", "Batches that they were made durable in.", kv->groups());
  out.family("kv_arriving_bytes", "gauge", "Of values of which not all has come yet.");
  out.value(static_cast<double>(kv->arriving().bytes()));
  out.counter("kv_arriving_refused_total", "Puts that were refused since as many came as may.",
              kv->arriving().refused());
}

// Families by queue.
void write_queues(MetricsText& out, const queues::QueueStore* queues) {
  if (queues == nullptr) return;
  const std::vector<queues::QueueTotals> all = queues->totals();
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value_of) {
    out.family(name, type, help);
    for (const queues::QueueTotals& queue : all) {
      out.value(static_cast<double>(value_of(queue)), fmt::format("queue={}", label_value(queue.name)));
    }
  };
  using Queue = queues::QueueTotals;
  family("queue_messages", "gauge", "Messages that are not settled.", [](const Queue& q) { return q.messages; });
  family("queue_bytes", "gauge", "Of these.", [](const Queue& q) { return q.bytes; });
  family("queue_bytes_max", "gauge", "How many it may have.", [](const Queue& q) { return q.bytes_max; });
  family("queue_sent_total", "counter", "Messages that were taken.", [](const Queue& q) { return q.sent; });
  family("queue_acknowledged_total", "counter", "Messages that were consumed.",
         [](const Queue& q) { return q.acknowledged; });
  family("queue_retried_total", "counter", "Deliveries that were to be repeated.",
         [](const Queue& q) { return q.retried; });
  family("queue_dead_total", "counter", "Messages that failed too often.", [](const Queue& q) { return q.dead; });
  family("queue_refused_total", "counter", "Sends that found it full.", [](const Queue& q) { return q.refused; });
}

// A family by path.
void write_paths(MetricsText& out, const ParentConfig& parent, std::span<const spool::PathCounters> counters,
                 const ReportSender* reports) {
  std::vector<std::string> labels;
  for (const PathConfig& path : parent.all_paths()) {
    labels.push_back(
        fmt::format("path=\"{}\",url={},bind={}", labels.size() + 1, label_value(path.url), label_value(path.bind)));
  }
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value_of) {
    out.family(name, type, help);
    for (size_t i = 0; i < counters.size(); ++i) out.value(static_cast<double>(value_of(counters[i])), labels[i]);
  };
  using Path = spool::PathCounters;
  family("uplink_path_stands", "gauge", "1 when the path to the parent has not failed last.",
         [&](const Path& path) { return stands(path, reports, static_cast<size_t>(&path - counters.data())) ? 1 : 0; });
  family("uplink_path_sent_total", "counter", "Batches sent over the path.",
         [](const Path& path) { return path.sent.value(); });
  family("uplink_path_won_total", "counter", "Of these, those that the path's answer decided.",
         [](const Path& path) { return path.won.value(); });
  family("uplink_path_failures_total", "counter", "Of these, those that brought no answer of the parent.",
         [](const Path& path) { return path.failures.value(); });
}

constexpr size_t kRulesShown = 1000;

// Families by rule, of the first ones where there are very many.
void write_rules(MetricsText& out, std::span<const RuleReading> readings) {
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help,
                          uint64_t RuleReading::* value) {
    out.family(name, type, help);
    for (const RuleReading& reading : readings.first(std::min(readings.size(), kRulesShown))) {
      out.value(static_cast<double>(reading.*value), fmt::format("rule={}", label_value(reading.name)));
    }
  };
  if (readings.empty()) return;
  family("rule_matched_total", "counter", "Messages that a topic of the rule matched.", &RuleReading::matched);
  family("rule_rows_total", "counter", "Rows that the rule selected.", &RuleReading::rows);
  family("rule_errors_total", "counter", "Actions not performed, keys and values refused.", &RuleReading::errors);
  family("rule_late_total", "counter", "Readings that came after their time.", &RuleReading::late);
  family("rule_refused_total", "counter", "Readings for which there was no room, or whose time cannot be.",
         &RuleReading::refused);
  family("rule_forgotten_total", "counter", "Keys that were not used for long, and forgotten to make room for others.",
         &RuleReading::forgotten);
  family("rule_memory_bytes", "gauge", "What the rule remembers.", &RuleReading::bytes);
}

}  // namespace

std::string Node::status_json() const {
  Totals totals;
  for (const Shard& shard : shards_) {
    totals.add(shard.broker->counters());
    totals.add(shard.path->counters());
  }
  const auto uptime = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  std::string out = fmt::format(
      R"({{"node":{{"id":"{}","name":{},"tier":"{}","version":"{}","uptime_s":{:.3f},"pid":{},"ready":{},"loops":{},"realtime_loops":{}}})",
      id_.text(), json_string(config_.node.name), name_of(config_.node.tier), kVersion, uptime, getpid(),
      not_ready().empty(), shards_.size(), realtime_loops_.load());
  fmt::format_to(
      std::back_inserter(out),
      R"(,"mqtt":{{"connections":{},"sessions":{},"subscriptions":{},"retained":{},"received":{},"received_bytes":{},"sent":{},"dropped":{},"away_bytes":{},"away_dropped":{},"forward_dropped":{},"forward_held":{},"input_bytes":{},"input_refused":{},"forbidden":{},"violations":{}}})",
      totals.connections, totals.sessions, totals.subscriptions, totals.retained, totals.received,
      totals.received_bytes, totals.sent, totals.dropped, totals.away_bytes, totals.away_dropped,
      totals.forward_dropped, totals.forward_held, totals.input_bytes, totals.input_refused, totals.forbidden,
      totals.violations);
  fmt::format_to(
      std::back_inserter(out),
      R"(,"events":{{"http":{},"children":{},"actions":{},"uploads":{},"drops":{},"purges":{},"awaiting_space":{},"given_up":{}}})",
      totals.events_http, totals.events_child, totals.actions, totals.uploads, totals.drops, totals.purges,
      totals.awaiting_space, totals.given_up);
  out.append(",\"decisions\":").append(histogram_json(totals.decision));
  out.append(",\"rules\":").append(histogram_json(totals.rules));
  if (sites() != nullptr) {
    const Sites::Totals sites = site_totals();
    const cache::StoreCounters& stored = sites_->store();
    fmt::format_to(
        std::back_inserter(out),
        R"(,"cache":{{"requests":{},"hits":{},"stale":{},"validated":{},"misses":{},"passed":{},"collapsed":{},"composed":{},"websockets":{},"failures":{},"redirected":{},"files":{},"limited":{},"not_signed":{},"purges":{},"answers":{},"memory_bytes":{},"evicted":{},"hit_ratio":{:.4f},"edge_hit_ratio":{:.4f})",
        sites.requests, sites.hits, sites.stale, sites.validated, sites.misses, sites.passed, sites.collapsed,
        sites.composed, sites.tunnels, sites.failures, sites.redirected, sites.files, sites.limited, sites.not_signed,
        sites_->purges(), stored.answers.load(), stored.bytes.load(), stored.evicted.load(), sites.hit_ratio(),
        sites.edge_hit_ratio());
    if (const cache::DiskTier* disk = sites_->disk()) {
      const cache::DiskLogCounters& log = disk->log().counters();
      fmt::format_to(
          std::back_inserter(out),
          R"(,"disk":{{"bytes":{},"answers":{},"written":{},"rewritten":{},"skipped":{},"read":{},"damaged":{},"failures":{}}})",
          log.bytes.load(), disk->log().index().count(), log.written.load(), log.rewritten.load(),
          disk->counters().skipped.load(), disk->counters().read.load(), log.damaged.load(), log.failures.load());
    }
    out.push_back('}');
  }
  append_workers(out, workers_->totals());
  out.append(",\"spool\":{");
  for (const Priority stream : kPriorities) {
    const spool::StreamProgress& progress = spool_->progress(stream);
    const uint64_t records = progress.undelivered;
    const auto oldest =
        uplink_ ? std::chrono::duration_cast<std::chrono::milliseconds>(uplink_->waiting(stream)).count() : 0;
    fmt::format_to(std::back_inserter(out), R"("{}":{{"records":{},"bytes":{},"oldest_ms":{},"dropped":{}}},)",
                   name_of(stream), records, progress.bytes.load(), oldest, progress.dropped.load());
  }
  const spool::SpoolWriterCounters& spooled = spool_->counters();
  Histogram::Snapshot commit;
  commit.add(spooled.commit);
  fmt::format_to(std::back_inserter(out),
                 R"("dead_letters":{},"full":{},"stored":{},"known":{},"refused":{},"commit":{}}})",
                 spool_->dead_letters(), spool_->is_full(), spooled.stored.value(), spooled.known.value(),
                 spooled.refused.value(), histogram_json(commit));
  if (uplink_) {
    const spool::UplinkCounters& sent = uplink_->counters();
    const ReportSender* reports = report_sender_.get();
    fmt::format_to(
        std::back_inserter(out),
        R"(,"uplink":{{"parent":{},"connected":{},"reached":{},"last_delivery_ms":{},"report_failures":{},"bytes_sent":{},"report_bytes_sent":{},"bytes_received":{},"batches":{},"records":{},"event_bytes":{},"failures":{},"refusals":{},"buried":{},"expired":{},"damaged":{},"line_bytes_per_s":{},"compression_level":{},"redundant":{},"paths":{}}})",
        json_string(config_.parent.url), sent.connected.load(), is_parent_reached(),
        sent.last_delivery_us == 0 ? "null" : fmt::format("{}", sent.last_delivery_us / 1000),
        reports ? reports->failures() : 0, sent.bytes_sent.load(), reports ? reports->bytes_sent() : 0,
        sent.bytes_received.load(), sent.batches.value(), sent.records.value(), sent.event_bytes.value(),
        sent.failures.value(), sent.refusals.value(), sent.buried.value(), sent.expired.value(), sent.damaged.value(),
        sent.line_bytes_per_s.load(), sent.compression_level.load(), config_.parent.redundant,
        paths_json(config_.parent, uplink_->path_counters(), reports));
  } else {
    out.append(",\"uplink\":null");
  }
  uint64_t duplicates = spooled.known.value();
  if (stream_) {
    const jetstream::StoreCounters& stored = stream_->counters();
    Histogram::Snapshot append;
    append.add(stored.append);
    duplicates += stored.known.value();
    fmt::format_to(
        std::back_inserter(out),
        R"(,"stream":{{"name":{},"reachable":{},"messages":{},"records":{},"known":{},"refused":{},"append":{},)"
        R"("overflow":{}}})",
        json_string(config_.store.stream), stream_->reachable(), stored.messages.value(), stored.appended.value(),
        stored.known.value(), stored.refused.load(), histogram_json(append), overflow_json(*stream_));
  } else {
    out.append(",\"stream\":null");
  }
  fmt::format_to(std::back_inserter(out), R"(,"receiver":{{"records":{},"duplicates":{}}})", totals.events_child,
                 duplicates);
  const TlsTotals tls = tls_totals();
  fmt::format_to(std::back_inserter(out), R"(,"listeners":{})", addresses_json());
  fmt::format_to(std::back_inserter(out),
                 R"(,"tls":{{"accepted":{},"resumed":{},"failed":{},"certificate_ends_s":{}}})", tls.accepted,
                 tls.resumed, tls.failed, certificate_ends_.load());
  fmt::format_to(std::back_inserter(out), R"(,"process":{{"resident_bytes":{},"cpu_seconds":{:.3f}}}}})",
                 resident_bytes(), cpu_seconds());
  return out;
}

Sites::Totals Node::site_totals() const {
  Sites::Totals totals = sites_->totals();
  totals.unworked = workers_->unworked();
  for (const Workers::Totals& worker : workers_->totals()) {
    totals.computed += worker.computed;
    totals.delegated += worker.delegated;
  }
  return totals;
}

Node::TlsTotals Node::tls_totals() const {
  TlsTotals totals;
  for (const Tls& each : tls_listeners_) {
    totals.accepted += each.listener->counters().accepted.value();
    totals.resumed += each.listener->counters().resumed.value();
    totals.failed += each.listener->counters().failed.value();
  }
  return totals;
}

std::string Node::metrics_text() const {
  Totals totals;
  for (const Shard& shard : shards_) {
    totals.add(shard.broker->counters());
    totals.add(shard.path->counters());
  }
  MetricsText out;
  out.family("node_info", "gauge", "What this node is.");
  out.value(1, fmt::format("name={},tier=\"{}\",version=\"{}\"", json_string(config_.node.name),
                           name_of(config_.node.tier), kVersion));
  out.gauge("node_ready", "1 when the node takes work.", not_ready().empty() ? 1 : 0);
  out.gauge("mqtt_connections", "Open MQTT connections.", static_cast<double>(totals.connections));
  out.counter("mqtt_connections_accepted_total", "MQTT connections accepted.", totals.connections_total);
  out.counter("mqtt_connections_refused_total", "MQTT connections refused.", totals.refused);
  out.gauge("mqtt_sessions", "MQTT sessions kept.", static_cast<double>(totals.sessions));
  out.gauge("mqtt_subscriptions", "MQTT subscriptions held.", static_cast<double>(totals.subscriptions));
  out.gauge("mqtt_retained_messages", "Retained MQTT messages held.", static_cast<double>(totals.retained));
  out.counter("mqtt_messages_received_total", "PUBLISH packets from clients.", totals.received);
  out.counter("mqtt_received_bytes_total", "Bytes from MQTT clients.", totals.received_bytes);
  out.counter("mqtt_messages_sent_total", "PUBLISH packets to clients.", totals.sent);
  out.counter("mqtt_messages_dropped_total", "Messages not delivered because a client's queue was full.",
              totals.dropped);
  out.gauge("mqtt_away_bytes", "Messages that wait for clients that are away.", static_cast<double>(totals.away_bytes));
  out.counter("mqtt_away_dropped_total", "Of the dropped messages, those for want of room among these.",
              totals.away_dropped);
  out.counter(
      "mqtt_forward_dropped_total",
      "Of the dropped messages, those that another event loop had no room for and that no client could wait with.",
      totals.forward_dropped);
  out.counter("mqtt_forward_held_total", "Times that a client was not read until another event loop had caught up.",
              totals.forward_held);
  out.counter("mqtt_turns_ended_total",
              "Times that an MQTT client whose messages match many subscriptions waited for the others of its loop.",
              totals.turns_ended);
  out.counter("mqtt_rate_held_total",
              "Times that an MQTT client was not read because it, or all together, sent too fast.", totals.rate_held);
  uint64_t refused = 0;
  for (const Shard& shard : shards_) refused += shard.mqtt_receptions->refused().value();
  out.counter("mqtt_proxied_refused_total",
              "MQTT connections of trusted proxies that did not begin with a PROXY header.", refused);
  out.counter("mqtt_rate_closed_total", "MQTT connections closed because they sent too fast.", totals.rate_closed);
  out.gauge("mqtt_input_bytes", "Held of MQTT packets that are not whole or not taken yet.",
            static_cast<double>(totals.input_bytes));
  out.counter("mqtt_input_refused_total", "MQTT connections closed for want of room among these.",
              totals.input_refused);
  out.counter("mqtt_messages_forbidden_total", "PUBLISH packets from clients to topics that are the node's own.",
              totals.forbidden);
  out.counter("mqtt_violations_total", "MQTT connections closed for what they sent.", totals.violations);
  const auto of_bridges = [&](std::string_view name, std::string_view kind, std::string_view help,
                              Counter mqtt::BridgeCounters::* counter) {
    if (bridges_.empty()) return;
    out.family(name, kind, help);
    for (const auto& bridge : bridges_) {
      out.value(static_cast<double>((bridge->counters().*counter).value()),
                fmt::format("bridge={}", label_value(bridge->options().name)));
    }
  };
  of_bridges("mqtt_bridge_connected", "gauge", "1 while the other broker is connected.",
             &mqtt::BridgeCounters::connected);
  of_bridges("mqtt_bridge_connections_total", "counter", "Connections made to the other broker.",
             &mqtt::BridgeCounters::connections);
  of_bridges("mqtt_bridge_out_total", "counter", "Messages sent to the other broker.", &mqtt::BridgeCounters::out);
  of_bridges("mqtt_bridge_in_total", "counter", "Messages that came from the other broker.", &mqtt::BridgeCounters::in);
  of_bridges("mqtt_bridge_looped_total", "counter", "Of these, those that had been at this node.",
             &mqtt::BridgeCounters::looped);
  of_bridges("mqtt_bridge_dropped_total", "counter",
             "Messages too large for the other side, of no topic that is bridged, or refused there.",
             &mqtt::BridgeCounters::dropped);
  out.counter("http_events_total", "Events that came by HTTP.", totals.events_http);
  out.counter("child_events_total", "New events that came from children.", totals.events_child);
  out.counter("actions_total", "Commands published by rules.", totals.actions);
  out.counter("actions_not_performed_total", "Actions of rules whose topic or payload could not be made of a row.",
              totals.not_performed);
  out.counter("uploads_total", "Records made by rules for the spool.", totals.uploads);
  out.counter("drops_total", "Events ended here by a rule.", totals.drops);
  out.counter("rule_purges_total", "Purges of the cache made by rules.", totals.purges);
  const Webhooks::Counters& webhooks = webhooks_.counters();
  out.counter("webhooks_total", "Webhook calls made by rules.", totals.webhooks);
  out.counter("webhooks_delivered_total", "Of these, those that the server took.", webhooks.delivered);
  out.counter("webhooks_repeated_total", "Attempts at webhook calls after the first.", webhooks.repeated);
  out.counter("webhooks_failed_total", "Webhook calls that were given up.", webhooks.failed);
  out.counter("webhooks_dropped_total", "Webhook calls for which there was no room.", webhooks.dropped);
  out.gauge("webhooks_waiting", "Webhook calls under way or waiting.", static_cast<double>(webhooks.waiting));
  if (tracer_) {
    const TraceExporter::Counters& traces = trace_exporter_->counters();
    out.counter("spans_exported_total", "Spans that the collector of traces took.", traces.exported);
    out.counter("spans_refused_total", "Spans that it did not take, or was not to be reached for.", traces.refused);
    out.counter("spans_dropped_total", "Spans for which there was no room.", tracer_->dropped());
    out.gauge("spans_waiting", "Spans that wait to be exported.", static_cast<double>(tracer_->waiting()));
  }
  const Questions::Counters& questions = questions_->counters();
  out.counter("asks_total", "Questions of rules to other levels.", totals.asks);
  out.counter("asks_decided_total", "Of these, those that were answered in time.", totals.decided);
  out.counter("asks_replaced_total", "Of these, by another level than the one that was to, which is out of reach.",
              totals.replaced);
  out.counter("asks_late_total", "Questions of rules without an answer in time.", totals.late_decisions);
  out.counter("asks_fallback_total", "Questions of rules decided by the rule's fallback.", totals.fallbacks);
  out.counter("asks_sent_total", "Questions to the parent, of children too.", questions.sent);
  out.counter("asks_late_answers_total", "Answers of the parent that came too late, and were dropped.",
              questions.late_answers);
  out.counter("asks_refused_total", "Questions for which there was no room.", questions.refused);
  out.gauge("asks_waiting", "Questions that wait for the parent.", static_cast<double>(questions.waiting));
  uint64_t received = 0;
  uint64_t answered = 0;
  uint64_t replaced = 0;
  uint64_t forwarded = 0;
  for (const Shard& shard : shards_) {
    const AskReceiver::Counters& counters = shard.ask_receiver->counters();
    received += counters.received.value();
    answered += counters.answered.value();
    replaced += counters.replaced.value();
    forwarded += counters.forwarded.value();
  }
  out.counter("questions_total", "Questions of children.", received);
  out.counter("questions_answered_total", "Of these, those that were decided here.", answered);
  out.counter("questions_replaced_total", "Of these, in place of a level that is out of reach.", replaced);
  out.counter("questions_forwarded_total", "Questions of children that are for a level above.", forwarded);
  const KeptEvents::Counters& kept = kept_->counters();
  out.counter("kept_events_total", "Events that rules keep here.", kept.kept);
  out.counter("kept_events_dropped_total", "Of these, those that there was no room for, or that could not be written.",
              kept.dropped);
  out.counter("kept_segments_expired_total", "Files of kept events that went, by age or for want of room.",
              kept.expired);
  out.gauge("kept_bytes", "Written of kept events.", static_cast<double>(kept.bytes));
  out.counter("rule_calls_total", "Events that rules gave to workers.", totals.calls);
  out.counter("rule_calls_failed_total", "Of these, those that no worker took, or that too many waited before.",
              totals.failed_calls);
  out.gauge("awaiting_space_records", "Publishes, and records of rules, held in memory because the spool is full.",
            static_cast<double>(totals.awaiting_space));
  out.counter("rule_rows_computed_late_total",
              "Rows of rules that took long to compute, and were computed beside the event loops.", totals.late_rows);
  out.counter("rule_rows_crowded_total",
              "Rows of rules that an event loop computed itself, for want of room beside it.", totals.crowded_rows);
  out.counter("rule_fusions_late_total", "Steps of fuse() that took longer than 10 ms, answered by the fallback.",
              rules::late_fusions());
  out.counter("given_up_records_total", "Records of rules that the spool refused and that could not be held.",
              totals.given_up);
  out.counter("acknowledged_at_parent_total", "Messages and requests acknowledged when the parent had them.",
              totals.at_parent);
  out.counter("short_of_parent_total", "Messages and requests answered before the parent had them, as it should.",
              totals.short_of_parent);
  out.histogram("decision_seconds", "From the read of a message to the write of the command a rule made of it.",
                totals.decision);
  if (sites() != nullptr) {
    const Sites::Totals sites = site_totals();
    const cache::StoreCounters& stored = sites_->store();
    out.counter("cache_requests_total", "Requests for sites.", sites.requests);
    out.counter("cache_hits_total", "Of these, answered without asking an origin.", sites.hits);
    out.counter("cache_stale_total", "Answered with something stale.", sites.stale);
    out.counter("cache_validated_total", "Answered with what an origin said is still good.", sites.validated);
    out.counter("cache_misses_total", "Asked of an origin because nothing stored would do.", sites.misses);
    out.counter("cache_passed_total", "Asked of an origin because nothing stored ever would.", sites.passed);
    out.gauge("cache_websockets", "WebSockets that are open through sites.", static_cast<double>(sites.tunnels));
    out.counter("cache_composed_total", "Pages in ESI 1.0 that were composed.", sites.composed);
    out.counter("cache_collapsed_total", "Answered by the fetch of another request.", sites.collapsed);
    out.counter("cache_failures_total", "Answered with 502 or 504 because no origin answered.", sites.failures);
    out.counter("cache_redirected_total", "Requests that were redirected.", sites.redirected);
    out.counter("cache_files_total", "Requests for files of a site's root.", sites.files);
    out.counter("cache_limited_total", "Requests answered 429, because their client made too many.", sites.limited);
    out.counter("cache_not_signed_total", "Requests answered 403, because they were not signed.", sites.not_signed);
    const std::shared_ptr<const cache::SiteSet> set = sites_->set();
    if (set->limiter) {
      out.counter("cache_unlimited_total", "Requests that were not counted, for want of a place for their client.",
                  set->limiter->unlimited());
    }
    if (set->access_log) {
      out.counter("access_log_lines_total", "Lines for the access log.", set->access_log->lines());
      out.counter("access_log_dropped_total", "Lines lost: too many waited, or the disk took none.",
                  set->access_log->dropped());
    }
    out.counter("cache_purges_total", "Purges, of requests to the admin listener and of rules.", sites_->purges());
    out.gauge("cache_answers", "Answers stored.", static_cast<double>(stored.answers));
    out.gauge("cache_memory_bytes", "Memory that they take.", static_cast<double>(stored.bytes));
    out.counter("cache_evicted_total", "Answers that went for want of space.", stored.evicted);
    if (const cache::DiskTier* disk = sites_->disk()) {
      const cache::DiskLogCounters& log = disk->log().counters();
      out.gauge("cache_disk_bytes", "What answers take on the disk.", static_cast<double>(log.bytes));
      out.gauge("cache_disk_answers", "Answers on the disk.", static_cast<double>(disk->log().index().count()));
      out.counter("cache_disk_written_total", "Answers written to the disk.", log.written);
      out.counter("cache_disk_rewritten_total", "Of them, again, because they were in use.", log.rewritten);
      out.counter("cache_disk_skipped_total", "Answers not written: too large, or too many waited.",
                  disk->counters().skipped);
      out.counter("cache_disk_read_total", "Answers taken from the disk into memory.", disk->counters().read);
      out.counter("cache_disk_damaged_total", "Answers that were not what was written, and not served.", log.damaged);
      out.counter("cache_disk_failures_total", "Operations of the disk that failed.", log.failures);
    }
    out.gauge("cache_hit_ratio", "Hits, of the requests that could have been.", sites.hit_ratio());
    out.gauge("cache_hit_ratio_goal", "What it should be.", overview::kCacheHitRatioGoal);
    out.gauge("edge_hit_ratio", "Requests for sites answered here, of all.", sites.edge_hit_ratio());
    out.gauge("edge_hit_ratio_goal", "What it should be.", overview::kEdgeHitRatioGoal);
  }
  write_workers(out, workers_->totals());
  write_kv(out, workers_->kv());
  write_queues(out, workers_->queues());
  const spool::SpoolWriterCounters& spooled = spool_->counters();
  out.counter("spool_stored_total", "Records made durable.", spooled.stored.value());
  out.counter("spool_known_total", "Repetitions recognised.", spooled.known.value());
  out.counter("spool_refused_total", "Records refused.", spooled.refused.value());
  Histogram::Snapshot commit;
  commit.add(spooled.commit);
  out.histogram("spool_commit_seconds", "Duration of a group commit.", commit);
  out.gauge("spool_full", "1 while the spool refuses records.", spool_->is_full() ? 1 : 0);
  out.family("spool_records", "gauge", "Records not yet delivered to the parent.");
  for (const Priority stream : kPriorities) {
    const spool::StreamProgress& progress = spool_->progress(stream);
    out.value(static_cast<double>(progress.undelivered), fmt::format("stream=\"{}\"", name_of(stream)));
  }
  out.family("spool_bytes", "gauge", "Bytes of the logs on the disk.");
  for (const Priority stream : kPriorities) {
    out.value(static_cast<double>(spool_->progress(stream).bytes), fmt::format("stream=\"{}\"", name_of(stream)));
  }
  out.family("spool_dropped_total", "counter", "Records that went by policy, for want of space.");
  for (const Priority stream : kPriorities) {
    out.value(static_cast<double>(spool_->progress(stream).dropped), fmt::format("stream=\"{}\"", name_of(stream)));
  }
  out.counter("spool_replaced_files_total", "Files of the spool that could not be read at the start.", replaced_files_);
  out.gauge("spool_dead_letters", "Records that the parent would not have.",
            static_cast<double>(spool_->dead_letters()));
  if (stream_) {
    const jetstream::StoreCounters& stored = stream_->counters();
    Histogram::Snapshot append;
    append.add(stored.append);
    out.gauge("stream_reachable", "1 while the JetStream stream can be used.", stream_->reachable() ? 1 : 0);
    out.counter("stream_messages_total", "Messages that the stream acknowledged.", stored.messages.value());
    out.counter("stream_records_total", "Records that the stream acknowledged.", stored.appended.value());
    out.counter("stream_known_total", "Repetitions recognised.", stored.known.value());
    out.counter("stream_refused_total", "Records refused.", stored.refused);
    out.histogram("stream_append_seconds",
                  "From a child's batch to the acknowledgement of the stream, or of its overflow.", append);
    if (const jetstream::OverflowCounters* overflow = stream_->overflow_counters()) {
      out.gauge("stream_overflow_used", "1 while batches go to the overflow of the stream.",
                stream_->diverted() ? 1 : 0);
      out.gauge("stream_overflow_ready", "1 while the overflow's leader is on another server than the stream's.",
                static_cast<double>(overflow->apart.value()));
      out.gauge("stream_overflow_messages", "Messages in the overflow when it was looked last.",
                static_cast<double>(overflow->messages.value()));
      out.counter("stream_overflow_records_total", "Records put there.", overflow->records.value());
      out.counter("stream_overflow_moved_total", "Records moved from there to the stream.", overflow->moved.value());
    }
  }
  if (uplink_) {
    const spool::UplinkCounters& sent = uplink_->counters();
    out.gauge("uplink_connected", "1 when the last batch was delivered.", sent.connected ? 1 : 0);
    const bool reached = is_parent_reached();
    out.gauge("uplink_reached", "1 when the parent answered last: a report, or, where none are sent, a batch.",
              reached ? 1 : 0);
    out.counter("uplink_report_failures_total", "Reports that the parent did not answer.",
                report_sender_ ? report_sender_->failures() : 0);
    out.counter("uplink_sent_bytes_total", "Bytes on the wire to the parent.", sent.bytes_sent);
    out.counter("uplink_report_bytes_total", "Bytes on the wire to the parent that say how this node is.",
                report_sender_ ? report_sender_->bytes_sent() : 0);
    out.counter("uplink_batches_total", "Batches delivered.", sent.batches.value());
    out.counter("uplink_records_total", "Records delivered.", sent.records.value());
    out.counter("uplink_failures_total", "Batches that were not delivered.", sent.failures.value());
    out.counter("uplink_refusals_total", "Batches that the parent refused for good.", sent.refusals.value());
    out.counter("uplink_buried_total", "Records that became dead letters.", sent.buried.value());
    out.counter("uplink_expired_total", "Records that outlived their time to live.", sent.expired.value());
    out.counter("uplink_damaged_total", "Sequences that could not be read back.", sent.damaged.value());
    out.gauge("uplink_line_bytes_per_second", "How fast the line was lately.",
              static_cast<double>(sent.line_bytes_per_s.load()));
    write_paths(out, config_.parent, uplink_->path_counters(), report_sender_.get());
  }
  if (!tls_listeners_.empty()) {
    const TlsTotals tls = tls_totals();
    out.counter("tls_accepted_total", "Connections on which TLS was agreed.", tls.accepted);
    out.counter("tls_resumed_total", "Of these, those resumed with a ticket.", tls.resumed);
    out.counter("tls_failed_total", "Connections that ended in the handshake.", tls.failed);
    out.gauge("tls_certificate_end_seconds", "When the certificate of the listeners ends, since 1970.",
              static_cast<double>(certificate_ends_.load()));
  }
  {
    const std::lock_guard lock(rules_mutex_);
    const rules::RuleSet& running = shards_[0].path->evaluator().rules();
    std::vector<RuleReading> readings;
    for (const rules::Rule& rule : running.rules()) {
      RuleReading& reading = readings.emplace_back(RuleReading{.name = rule.name});
      for (const Shard& shard : shards_) reading.add(shard.path->evaluator(), rule.index);
    }
    write_rules(out, readings);
  }
  out.gauge("process_resident_bytes", "Resident memory.", static_cast<double>(resident_bytes()));
  out.family("process_cpu_seconds_total", "counter", "CPU time used.");
  out.value(cpu_seconds());
  return out.take();
}

}  // namespace verge::node
