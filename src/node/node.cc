#include "node/node.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>

#include <fmt/format.h>
#include <malloc.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "jetstream/nats_stream.h"
#include "jetstream/stream_store.h"
#include "node/admin_api.h"
#include "node/config_address.h"
#include "node/listeners.h"
#include "node/password_check.h"
#include "node/position.h"
#include "node/rule_restoration.h"
#include "node/worker_thread.h"
#include "runtime/descriptors.h"
#include "runtime/scheduling.h"

namespace verge::node {
namespace {

constexpr size_t kSpoolWaitingBytesMax = 64U << 20;
// With fewer, one server that ends takes the overflow with it.
constexpr uint64_t kOverflowReplicasMin = 3;
constexpr size_t kSessionBytesMax = 1U << 30;
constexpr size_t kForwardBytesMax = 32U << 20;
constexpr size_t kInputBytesMax = 256U << 20;
// While draining: for batches of children and posts to be stored and evaluated, for the disk, for HTTP requests to end,
// and for what is left to reach the parent.
constexpr Duration kBatchesDrainMax = std::chrono::seconds(2);
constexpr Duration kCommitMax = std::chrono::seconds(5);
constexpr Duration kRequestsDrainMax = std::chrono::seconds(3);
constexpr Duration kUplinkDrainMax = std::chrono::seconds(5);
// epoll and eventfd of each loop; those of the worker, the admin listener, handshakes, queries, and their listeners.
constexpr size_t kDescriptorsALoop = 2;
constexpr size_t kDescriptorsOfOthers = 24;

}  // namespace

std::vector<net::Network> proxies_of(const MqttConfig& config) {
  return config.proxy_protocol ? config.trusted_proxies : std::vector<net::Network>();
}

mqtt::Rates rates_of(const MqttConfig& config, size_t loops) {
  const auto share = [loops](uint64_t total) { return (total + loops - 1) / loops; };
  return {.client = {.messages = config.client_messages_max, .bytes = config.client_bytes_max},
          .client_policy = config.client_rate_policy,
          .total = {.messages = share(config.total_messages_max), .bytes = share(config.total_bytes_max)}};
}

mqtt::AccessRules access_rules(const MqttConfig& config) {
  std::vector<mqtt::AccessRule> rules;
  for (const AclConfig& acl : config.acl) {
    rules.push_back({.allow = acl.allow,
                     .users = acl.users,
                     .publish = acl.actions != AclActions::kSubscribe,
                     .subscribe = acl.actions != AclActions::kPublish,
                     .topics = acl.topics,
                     .says_why = acl.says_why});
  }
  return mqtt::AccessRules(std::move(rules));
}

Result<std::unique_ptr<Node>> Node::create(const Config& config, std::shared_ptr<const rules::RuleSet> rules,
                                           const Credentials& credentials, net::HandedOver handed_over) {
  if (const Result<void> checked = storage::DataDirectory::check_place(config.node.data_dir); !checked) {
    return std::unexpected(checked.error());
  }
  const bool has_own_sockets = handed_over.check_all_claimed().has_value();
  if (has_own_sockets && !std::filesystem::exists(config.node.data_dir)) {
    if (const Result<void> free = check_addresses_are_free(config); !free) return std::unexpected(free.error());
  }
  Result<storage::DataDirectory> directory = storage::DataDirectory::open(config.node.data_dir);
  if (!directory) return std::unexpected(directory.error());
  const Result<storage::NodeIdentity> identity = directory->identity();
  if (!identity) return std::unexpected(identity.error());
  if (const std::optional<Error>& replaced = identity->replaced) log_error("node", "{}", replaced->line());
  std::unique_ptr<Node> node(new Node(config, std::move(*directory), identity->id, credentials));
  node->note_name();
  if (const Result<void> planned = node->plan_descriptors(); !planned) return std::unexpected(planned.error());
  if (const Result<void> opened = node->open_spool(); !opened) return std::unexpected(opened.error());
  if (const Result<void> opened = node->open_child_store(); !opened) return std::unexpected(opened.error());
  if (const Result<void> loaded = node->load_created_rules(); !loaded) return std::unexpected(loaded.error());
  rules = node->with_created_rules(node->config_, std::move(rules));
  node->make_overview();
  node->make_tracer();
  node->make_shards(rules);
  node->make_questions();
  if (const Result<void> opened = node->open_kept(); !opened) return std::unexpected(opened.error());
  if (const Result<void> restored = node->restore_sessions(); !restored) return std::unexpected(restored.error());
  if (const Result<void> restored = node->restore_rules(rules); !restored) return std::unexpected(restored.error());
  node->worker_specs_ = credentials.workers;
  node->deployed_workers_ =
      std::make_unique<DeployedWorkers>(node->file_system_, node->data_directory_.path() + "/workers/deployed");
  if (const Result<void> loaded = node->deployed_workers_->load(); !loaded) return std::unexpected(loaded.error());
  if (const Result<void> opened = node->open_sites(); !opened) return std::unexpected(opened.error());
  if (const Result<void> opened = node->open_workers(); !opened) return std::unexpected(opened.error());
  if (const Result<void> opened = node->open_listeners(std::move(handed_over)); !opened) {
    return std::unexpected(opened.error());
  }
  node->make_uplink();
  node->make_bridges();
  return node;
}

Node::Node(const Config& config, storage::DataDirectory data_directory, NodeId id, const Credentials& credentials)
    : config_(config),
      data_directory_(std::move(data_directory)),
      id_(id),
      file_system_(data_directory_.path()),
      started_(std::chrono::steady_clock::now()),
      credentials_(credentials) {
  // One heap for few threads: an arena a thread would cost an idle node megabytes.
  mallopt(M_ARENA_MAX, 2);
}

// For who reads the directory without the node: events that entered here carry no name.
void Node::note_name() {
  const std::string path = data_directory_.path() + "/identity/name";
  const std::string text = config_.node.name + "\n";
  const Result<std::string> before = file_system_.read_file(path, 1024);
  if (before && *before == text) return;
  const Result<void> noted = file_system_.replace_file(path, text);
  if (!noted) log_warning("node", "{}", noted.error().line());
}

Result<void> Node::plan_descriptors() {
  const MqttConfig& mqtt = config_.mqtt;
  const HttpConfig& http = config_.http;
  const size_t a_loop =
      kDescriptorsALoop + mqtt.listen.size() + mqtt.ws_listen.size() + mqtt.unix_listen.size() + http.listen.size();
  const bool has_mqtt = !mqtt.listen.empty() || !mqtt.unix_listen.empty() || !mqtt.tls_listen.empty() ||
                        !mqtt.ws_listen.empty() || !mqtt.ws_tls_listen.empty();
  const bool has_http = !http.listen.empty() || !http.tls_listen.empty();
  const DescriptorDemand demand{
      .own = runtime::open_descriptors() + kDescriptorsOfOthers + config_.runtime.loop_count() * a_loop,
      .mqtt = has_mqtt ? mqtt.connections_max : 0,
      .http = has_http ? http.connections_max : 0};
  Result<DescriptorPlan> plan = node::plan_descriptors(runtime::raise_descriptor_limit(), demand);
  if (!plan) return std::unexpected(plan.error());
  descriptors_ = *plan;
  descriptors_note_ = descriptors_.warning(demand);
  const bool are_asked_for =
      mqtt.connections_max != MqttConfig{}.connections_max || http.connections_max != HttpConfig{}.connections_max;
  if (are_asked_for && !descriptors_note_.empty()) log_warning("node", "{}", std::exchange(descriptors_note_, {}));
  return {};
}

Result<void> Node::open_spool() {
  spool::Spool::Recovery recovery;
  const SpoolConfig& config = config_.spool;
  const spool::SpoolOptions options{.bytes_max = config.bytes_max,
                                    .critical_reserve = config.critical_reserve,
                                    .segment_bytes = config.segment_bytes,
                                    .sources_max = config.sources_max,
                                    .streams = {config.critical, config.high, config.normal, config.low}};
  if (const Result<void> taken = keys_.replace(std::exchange(credentials_.spool_keys, {})); !taken) return taken;
  Result<std::unique_ptr<spool::Spool>> opened =
      spool::Spool::open(file_system_, spool_directory(), keys_, options, recovery);
  if (!opened) return std::unexpected(opened.error());
  for (const Error& replaced : recovery.replaced) log_error("spool", "{}", replaced.line());
  for (const storage::SetAside& each : recovery.set_aside) {
    log_warning("spool", "{}; {}", each.why,
                each.now.empty() ? "it is left where it is" : "it was moved to " + each.now);
  }
  replaced_files_ = recovery.replaced.size();
  if (keys_.writing() != 0) {
    log_info("spool", "new files are encrypted with the key {}", storage::key_id_text(keys_.writing()));
  }
  for (const storage::DamagedRange& range : recovery.damaged) {
    if (range.may_be_unfinished) {
      log_warning("spool", "{} cannot be read from byte {} on: a write that a crash cut off, or damage to the disk{}{}",
                  range.path, range.offset,
                  range.first_sequence == range.end_sequence
                      ? ""
                      : fmt::format(", which cost records {} to {}", range.first_sequence, range.end_sequence - 1),
                  range.kept.empty() ? "" : "; what was there is kept in " + range.kept);
    } else {
      log_error("spool", "{} is damaged at byte {}: records {} to {} cannot be read", range.path, range.offset,
                range.first_sequence, range.end_sequence - 1);
    }
  }
  std::error_code unknown;
  const std::filesystem::space_info disk = std::filesystem::space(spool_directory(), unknown);
  if (!unknown && disk.available + (*opened)->bytes() < config.bytes_max) {
    log_warning(
        "spool",
        "the disk of {} has {} MiB left and spool.bytes_max is {} MiB: the disk will be full before the spool is; "
        "there one segment ({} MiB) is held back for critical records",
        spool_directory(), disk.available >> 20U, config.bytes_max >> 20U, config.segment_bytes >> 20U);
  }
  spool_ = std::make_unique<spool::SpoolWriter>(std::move(*opened), kSpoolWaitingBytesMax, [this] {
    if (uplink_) uplink_->wake();
  });
  return {};
}

Result<void> Node::change_spool_keys(const storage::Keys& keys) {
  const storage::KeyId before = keys_.writing();
  storage::KeyRing fresh;
  if (const Result<void> taken = fresh.replace(keys); !taken) return taken;
  for (const std::string_view log : {"/sessions/journal", "/rules/journal", "/kept/hot/log", "/kept/batch/log"}) {
    const std::string directory = data_directory_.path() + std::string(log);
    const Result<std::map<storage::KeyId, size_t>> needed = storage::keys_in_use(file_system_, directory);
    if (!needed) return std::unexpected(needed.error());
    for (const auto& [key, files] : *needed) {
      if (!fresh.has(key))
        return storage::missing_key(key, fmt::format("{} of the files in {}", files, directory), fresh);
    }
  }
  std::promise<Result<void>> changed;
  spool_->change_keys(keys, [&](Result<void> result) { changed.set_value(std::move(result)); });
  Result<void> result = changed.get_future().get();
  if (result && session_journal_) session_journal_->renew();
  if (const storage::KeyId now = keys_.writing(); result && now != before) {
    log_info("spool", "new files are {} from now on",
             now == 0 ? "not encrypted" : "encrypted with the key " + storage::key_id_text(now));
  }
  return result;
}

std::shared_ptr<mqtt::Authenticator> Node::make_authenticator(const MqttConfig& config,
                                                              const Credentials& credentials) {
  if (!credentials.passwords) return nullptr;
  return std::make_shared<PasswordCheck>(worker_, credentials.passwords, config.anonymous);
}

Result<void> Node::restore_sessions() {
  const mqtt::Broker::Kept kept{.sessions = config_.mqtt.durable_sessions, .retained = config_.mqtt.durable_retained};
  if (!kept.sessions && !kept.retained) return {};
  Result<std::unique_ptr<mqtt::SessionJournal>> journal =
      mqtt::SessionJournal::open(file_system_, data_directory_.path() + "/sessions", keys_, clock_);
  if (!journal) return std::unexpected(journal.error());
  session_journal_ = std::move(*journal);
  for (const Shard& shard : shards_) shard.broker->record_in(*session_journal_, clock_, kept);
  const mqtt::Clocks now{.wall_us = clock_.wall().microseconds, .monotonic = clock_.monotonic()};
  const auto& sessions = session_journal_->image().sessions();
  std::string unwanted;  // records that end what is not to be kept any more
  for (const auto& [name, session] : sessions) {
    const bool is_of_former_bridge =
        session.client_id.starts_with(mqtt::kBridgeClients) && !is_bridge_session(session.client_id);
    if (!kept.sessions || is_of_former_bridge) {
      mqtt::append_ended(unwanted, name);
      continue;
    }
    shards_[mqtt::Broker::shard_of(session.client_id, shards_.size())].broker->restore(session, now);
  }
  size_t retained = 0;
  for (const mqtt::MessagePointer& message : session_journal_->image().retained()) {
    if (!kept.retained) {
      mqtt::append_retained(unwanted, {.topic = message->topic, .properties = {}}, now);
    } else if (message->expires > now.monotonic) {
      shards_[mqtt::Broker::retaining_shard_of(message->topic, shards_.size())].broker->restore_retained(message);
      ++retained;
    }
  }
  if (!sessions.empty() && kept.sessions) log_info("mqtt", "{} sessions of before are kept", sessions.size());
  if (retained > 0) log_info("mqtt", "{} retained messages of before are kept", retained);
  session_journal_->start();
  if (!unwanted.empty()) session_journal_->submit({.records = std::move(unwanted), .messages = {}}, {});
  return {};
}

Result<void> Node::restore_rules(const std::shared_ptr<const rules::RuleSet>& rules) {
  if (!config_.rules_limits.durable) return {};
  Result<std::unique_ptr<RuleJournal>> journal =
      RuleJournal::open(file_system_, data_directory_.path() + "/rules", keys_);
  if (!journal) return std::unexpected(journal.error());
  rule_journal_ = std::move(*journal);
  RuleRestoration restoration(rules, rule_memory_);
  if (const Result<void> restored = restoration.restore(*rule_journal_); !restored) return restored;
  const RuleLayout layout = restoration.layout_for(shards_.size());
  for (size_t i = 0; i < shards_.size(); ++i) {
    restoration.give(layout, i, clock_.wall(), shards_[i].path->evaluator());
    shards_[i].path->record_in(*rule_journal_, layout);
  }
  rule_journal_->start(layout);
  if (restoration.records() > 0)
    log_info("rules", "{} records of what rules remember were taken", restoration.records());
  // The records may go once what came of them is in the spool.
  spool::Submission submission;
  submission.items = restoration.take_uploads();
  spool_->submit(std::move(submission), *shards_[0].loop, spool::Urgency::kAwaited,
                 [this](const spool::Submission& stored) {
                   if (stored.error.code.empty()) {
                     for (Shard& shard : shards_) shard.loop->post([&shard] { shard.path->resume(); });
                   } else {
                     log_error("rules", "what rules made before the end is not stored: {}", stored.error.line());
                   }
                 });
  return {};
}

void Node::make_shards(std::shared_ptr<const rules::RuleSet> rules) {
  rule_memory_.rule_max = config_.rules_limits.rule_memory_max;
  rule_memory_.total_max = config_.rules_limits.memory_max;
  static_assert(RuntimeConfig::kLoopsMax == mqtt::SubscriptionTree::kShardsMax);
  const size_t count = config_.runtime.loop_count();
  const mqtt::Limits limits{.packet_bytes_max = config_.mqtt.packet_bytes_max,
                            .connections_max = descriptors_.mqtt / count + 1,
                            .inflight_max = config_.mqtt.inflight_max,
                            .queue_bytes_max = config_.mqtt.queue_bytes_max,
                            .away_bytes_max = config_.mqtt.away_bytes_max / count,
                            .retained_max = config_.mqtt.retained_max / count + 1,
                            .retained_bytes_max = config_.mqtt.retained_bytes_max / count,
                            .twins_max = config_.mqtt.twins_max / count + 1,
                            .twin_bytes_max = config_.mqtt.twin_bytes_max,
                            .sessions_max = config_.mqtt.sessions_max / count + 1,
                            .session_bytes_max = kSessionBytesMax / count,
                            .pending_max = config_.mqtt.receive_max,
                            .forward_bytes_max = kForwardBytesMax / count,
                            .input_bytes_max = kInputBytesMax / count,
                            .topic_aliases_max = config_.mqtt.topic_aliases_max,
                            .keep_alive_max = config_.mqtt.keep_alive_max,
                            .session_expiry_max = config_.mqtt.session_expiry_max};
  const auto access = std::make_shared<const mqtt::AccessRules>(access_rules(config_.mqtt));
  const std::shared_ptr<mqtt::Authenticator> authenticator = make_authenticator(config_.mqtt, credentials_);
  const auto durability = std::make_shared<const DurabilityClasses>(config_.durability);
  net::HttpServerLimits http_limits{.connections_max = descriptors_.http / count + 1};
  // Two of the longest from one sender, of two senders.
  const auto body_bytes_max = static_cast<size_t>(config_.http.body_bytes_max);
  http_limits.sender_bodies_bytes_max = std::max(http_limits.sender_bodies_bytes_max, 2 * body_bytes_max);
  http_limits.bodies_bytes_max = std::max(http_limits.bodies_bytes_max, 4 * body_bytes_max);
  shards_.resize(count);
  std::vector<EventPath*> paths;
  std::vector<mqtt::Broker*> brokers;
  for (size_t i = 0; i < count; ++i) {
    Shard& shard = shards_[i];
    shard.loop = std::make_unique<runtime::Loop>(fmt::format("loop-{}", i));
    shard.uplink_tokens = credentials_.uplink_tokens;
    shard.path = std::make_unique<EventPath>(*shard.loop, i, clock_, *spool_, rules, rule_memory_);
    shard.ingest_receiver = std::make_unique<IngestReceiver>(*shard.loop, worker_, *shard.path, config_.node);
    shard.uplink_receiver = std::make_unique<UplinkReceiver>(*shard.loop, worker_, *shard.path, *children_, id_);
    shard.report_receiver = std::make_unique<ReportReceiver>(*shard.loop, admin_loop_, *overview_);
    shard.path->show_in(tail_);
    shard.path->compute_by(row_computer_);
    shard.path->set_durability(durability);
    if (event_traces_) shard.path->trace_in(*event_traces_);
    shard.broker = std::make_unique<mqtt::Broker>(*shard.loop, i, limits, *shard.path);
    shard.broker->set_access(access);
    shard.broker->set_authenticator(authenticator);
    shard.broker->set_rates(rates_of(config_.mqtt, count));
    shard.mqtt_receptions = std::make_unique<net::ProxyReceptions>(*shard.loop);
    shard.mqtt_proxies = proxies_of(config_.mqtt);
    shard.http = std::make_unique<net::HttpServer>(
        *shard.loop, http_limits,
        [this, i](const net::HttpRequest& request, net::HttpResponder responder) {
          receive(i, request, std::move(responder));
        },
        [this, i](runtime::Loop& loop, net::Socket socket, net::StreamObserver& observer) {
          return make_http_stream(i, loop, std::move(socket), observer);
        });
    shard.http->decide_by_head(
        [this, i](const net::HttpRequest& head, net::HttpResponder& responder) { return admit(i, head, responder); });
    shard.http->when_refused([this, i](const net::RefusedRequest& request) { sites_->log_refused(i, request); });
    paths.push_back(shard.path.get());
    brokers.push_back(shard.broker.get());
  }
  for (size_t i = 0; i < count; ++i) {
    shards_[i].broker->join(brokers);
    shards_[i].broker->set_certificate_users(config_.mqtt.certificate_users);
    shards_[i].path->join(
        paths, *brokers[i],
        [this](rules::PurgeScope scope, std::string_view what, bool softly) { sites_->purge(scope, what, softly); },
        [this](WebhookCall call) { webhooks_.send(std::move(call)); });
  }
  if (config_.mqtt.sys_every > Duration(0)) {
    sys_topics_ = std::make_unique<SysTopics>(*brokers[0], config_.mqtt.sys_every, [this] {
      Totals totals;
      for (const Shard& shard : shards_) totals.add(shard.broker->counters());
      return totals;
    });
  }
  children_->when_moved([paths](spool::ChildBatch stored, std::function<void()> finished) {
    EventPath& path = *paths[std::hash<std::string>()(stored.header.source()) % paths.size()];
    path.climbed(std::move(stored), std::move(finished));
  });
}

Result<void> Node::open_sites() {
  std::vector<runtime::Loop*> loops;
  for (const Shard& shard : shards_) loops.push_back(shard.loop.get());
  Result<std::unique_ptr<Sites>> opened =
      Sites::open(with_worker_sites(config_), clock_, file_system_, data_directory_.path() + "/cache", loops,
                  descriptors_.for_connections, tracer_.get());
  if (!opened) return std::unexpected(opened.error());
  sites_ = std::move(*opened);
  request_runs_ = std::make_unique<RequestRuns>(*shards_[0].loop, sites_->proxy(0), clock_);
  return {};
}

void Node::make_overview() {
  Overview::Options options{.id = id_,
                            .name = config_.node.name,
                            .tier = config_.node.tier,
                            .site = config_.node.site,
                            .position = {},
                            .children = config_.node.children,
                            .started = started_};
  if (const auto at = parse_position(config_.node.position)) options.position = {at->latitude, at->longitude};
  overview_ = std::make_unique<Overview>(admin_loop_, std::move(options), [this] { return readings(); });
}

void Node::run_request(RequestRuns::Request request, std::function<void(Result<RequestRuns::Answer>)> done) {
  shards_[0].loop->post([this, request = std::move(request), done = std::move(done)]() mutable {
    request_runs_->run(request, std::move(done));
  });
}

void Node::make_tracer() {
  const TracesConfig& config = config_.traces;
  if (config.endpoint.empty()) return;
  const Result<WebhookUrl> collector = parse_webhook_url(config.endpoint);
  VERGE_ASSERT(collector.has_value());  // reading the configuration saw to it
  tracer_ =
      std::make_unique<traces::Tracer>(traces::Tracer::Options{.one_in = config.one_in, .heeds_flag = config.follow});
  event_traces_ = std::make_unique<EventTraces>(*tracer_, id_, clock_);
  trace_exporter_ = std::make_unique<TraceExporter>(
      *tracer_, *collector, credentials_.traces_token,
      traces::Resource{
          .node = config_.node.name, .node_id = id_.text(), .tier = std::string(name_of(config_.node.tier))},
      clock_);
}

Result<void> Node::open_kept() {
  Result<std::unique_ptr<KeptEvents>> opened =
      KeptEvents::open(file_system_, data_directory_.path() + "/kept", keys_, clock_,
                       {.bytes_max = config_.rules_limits.kept_bytes_max});
  if (!opened) return std::unexpected(opened.error());
  kept_ = std::move(*opened);
  for (Shard& shard : shards_) shard.path->keep_in(*kept_);
  return {};
}

void Node::make_questions() {
  parent_access_ = access_of(credentials_);
  const auto look = [this]() -> std::optional<Questions::ParentMeasure> {
    const auto measure = report_sender_ ? report_sender_->measure() : std::nullopt;
    if (!measure) return std::nullopt;
    return Questions::ParentMeasure{.tier = measure->first, .round_trip = measure->second};
  };
  const bool has_parent = !config_.parent.url.empty();
  questions_ = std::make_unique<Questions>(
      *shards_[0].loop, config_.node.tier, has_parent ? parent_paths() : std::vector<spool::ParentPath>(),
      [this](size_t path) { return parent_access_[path]; }, look);
  for (Shard& shard : shards_) {
    shard.path->ask_by(*questions_);
    shard.ask_receiver =
        std::make_unique<AskReceiver>(*shard.loop, *shard.path, *questions_, config_.node.tier, config_.node.name);
  }
}

void Node::make_uplink() {
  if (config_.parent.url.empty()) return;
  const ParentConfig& parent = config_.parent;
  const SpoolConfig& spool = config_.spool;
  const auto count = [](uint64_t value) { return static_cast<uint32_t>(value); };
  uplink_ = std::make_unique<spool::Uplink>(
      *shards_[0].loop, std::array{&express_worker_, &worker_}, file_system_, spool_directory(), *spool_, id_,
      config_.node.name, parent_paths(),
      spool::UplinkOptions{.delivery = {.batch_bytes_max = parent.batch_bytes_max,
                                        .batch_age_max = parent.batch_age_max,
                                        .backlog_share = static_cast<double>(parent.backlog_share_percent) / 100.0,
                                        .timeout = parent.timeout,
                                        .retry_max = parent.retry_max,
                                        .attempts = {count(parent.attempts.critical), count(parent.attempts.high),
                                                     count(parent.attempts.normal), count(parent.attempts.low)},
                                        .ttl_stops_in_outage = spool.ttl_stops_in_outage},
                           .ttl = {spool.critical.ttl, spool.high.ttl, spool.normal.ttl, spool.low.ttl},
                           .redundant = parent.redundant,
                           .access = [this](size_t path) { return parent_access_[path]; },
                           .watch = event_traces_ ? event_traces_->watch() : spool::RecordWatch{}});
  if (config_.parent.report_every > Duration(0)) {
    report_sender_ = std::make_unique<ReportSender>(admin_loop_, *overview_, parent_paths(), access_of(credentials_),
                                                    config_.parent.report_every, uplink_->outage_is_said());
    overview_->look_at_parent([this] { return report_sender_->parent(); });
  } else {
    overview_->look_at_parent([url = config_.parent.url] { return ParentSeen{.url = url, .who = {}}; });
  }
  shards_[0].loop->post([this] { uplink_->start(); });
}

std::vector<spool::ParentPath> Node::parent_paths() const {
  std::vector<spool::ParentPath> paths;
  for (const PathConfig& path : config_.parent.all_paths()) {
    const Result<net::LocalEnd> from = net::LocalEnd::parse(path.bind);
    VERGE_ASSERT(from.has_value());  // reading the configuration saw to it
    paths.push_back({.url = path.url, .from = *from, .from_text = path.bind});
  }
  return paths;
}

std::vector<spool::ParentAccess> Node::access_of(const Credentials& credentials) {
  std::vector<spool::ParentAccess> access;
  for (const auto& context : credentials.parent) access.push_back({context, credentials.parent_token});
  return access;
}

Result<void> Node::open_child_store() {
  if (config_.store.engine == StoreEngine::kLog) {
    children_ = std::make_unique<SpooledChildren>(*spool_);
    return {};
  }
  Result<std::unique_ptr<jetstream::NatsStream>> stream =
      jetstream::NatsStream::open({.urls = config_.store.urls,
                                   .stream = config_.store.stream,
                                   .replicas = config_.store.replicas,
                                   .client = "verge " + config_.node.name,
                                   .credentials_path = config_.store.credentials,
                                   .token = credentials_.store_token});
  if (!stream) return std::unexpected(stream.error());
  const std::string overflow_name = config_.store.stream + "_OVERFLOW";
  std::unique_ptr<jetstream::OverflowStream> overflow;
  if (config_.store.overflow_bytes_max > 0 && config_.store.replicas >= kOverflowReplicasMin) {
    overflow = (*stream)->overflow(overflow_name, config_.store.overflow_bytes_max);
  }
  stream_ =
      std::make_unique<jetstream::StreamStore>(std::move(*stream), std::move(overflow), clock_,
                                               jetstream::StoreOptions{.stream = config_.store.stream,
                                                                       .overflow = overflow_name,
                                                                       .node = id_,
                                                                       .timeout = config_.store.timeout,
                                                                       .waiting_bytes_max = kSpoolWaitingBytesMax,
                                                                       .subjects_max = config_.spool.sources_max});
  children_ = std::make_unique<StreamedChildren>(*stream_);
  return {};
}

void Node::start() {
  running_ = true;
  warn_of_credentials(credentials_);
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].thread = std::thread([this, i] {
      if (config_.runtime.scheduling == LoopScheduling::kRealtime) run_in_real_time(i);
      shards_[i].loop->run();
    });
  }
  worker_thread_ = std::thread([this] {
    lower_own_priority();
    worker_.run();
  });
  if (uplink_) express_thread_ = std::thread([this] { express_worker_.run(); });
  overview_->start();
  if (report_sender_) admin_loop_.post([this] { report_sender_->start(); });
  admin_thread_ = std::thread([this] {
    lower_own_priority();
    admin_loop_.run();
  });
  if (tls_loop_) {
    tls_thread_ = std::thread([this] {
      lower_own_priority();
      tls_loop_->run();
    });
  }
  std::string listening;
  const auto name = [&](std::string_view what, const std::vector<std::string>& addresses) {
    if (addresses.empty() && what.find(' ') != std::string_view::npos) return;
    listening.append(fmt::format("{}{} {}", listening.empty() ? "" : ", ", what, fmt::join(addresses, " ")));
  };
  name("mqtt", mqtt_addresses_);
  name("mqtt with TLS", mqtt_tls_addresses_);
  name("mqtt by WebSocket", mqtt_ws_addresses_);
  name("mqtt by WebSocket with TLS", mqtt_ws_tls_addresses_);
  name("http", http_addresses_);
  name("http with TLS", http_tls_addresses_);
  name("admin", admin_addresses_);
  // Of the usual bounds, which nobody asked for.
  if (!descriptors_note_.empty()) log_info("node", "{}", descriptors_note_);
  log_info("node", "{} ({}, {}) is ready: {}{}", config_.node.name, name_of(config_.node.tier), id_.text(), listening,
           config_.parent.url.empty() ? "" : ", parent " + config_.parent.url);
}

// On the thread of the loop.
void Node::run_in_real_time(size_t loop) {
  const Result<void> done = runtime::become_realtime(loop);
  if (done) {
    ++realtime_loops_;
  } else if (loop == 0) {
    log_warning("node", "event loops run as ordinary threads: {}", done.error().line());
  }
}

void Node::on_all_loops(const std::function<void(Shard&)>& work) {
  std::vector<std::promise<void>> done(shards_.size());
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].loop->post([&, i] {
      work(shards_[i]);
      done[i].set_value();
    });
  }
  for (std::promise<void>& promise : done) promise.get_future().wait();
}

void Node::on_tls_loop(const std::function<void()>& work) {
  if (!tls_loop_) return;
  std::promise<void> done;
  tls_loop_->post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

bool Node::await_all_loops(MonotonicTime deadline,
                           const std::function<void(Shard&, std::function<void()> done)>& begin) {
  // Shared: who is late finds it still there.
  auto done = std::make_shared<std::vector<std::promise<void>>>(shards_.size());
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].loop->post([this, begin, done, i] { begin(shards_[i], [done, i] { (*done)[i].set_value(); }); });
  }
  bool all = true;
  for (std::promise<void>& promise : *done) {
    all &= promise.get_future().wait_until(deadline) == std::future_status::ready;
  }
  return all;
}

void Node::drain() {
  draining_ = true;
  stop_bridges();
  on_tls_loop([this] {
    for (const Tls& each : tls_listeners_) each.listener->stop();
  });
  on_all_loops([](Shard& shard) {
    shard.listeners.clear();
    shard.mqtt_receptions->stop();
    shard.broker->stop_reading();
    shard.path->stop_waiting();
  });
  const auto from_now = [](Duration duration) { return std::chrono::steady_clock::now() + duration; };
  // What children and clients sent goes into windows on any loop, so that none may close before all of it is there.
  await_all_loops(from_now(kBatchesDrainMax), [](Shard& shard, const std::function<void()>& done) {
    const auto one_done = [left = std::make_shared<int>(2), done] {
      if (--*left == 0) done();
    };
    shard.uplink_receiver->drain(one_done);
    shard.ingest_receiver->drain(one_done);
  });
  on_all_loops([](Shard& shard) { shard.path->drain(); });
  if (rule_journal_) {
    // Behind what the loops recorded last; uploads that come of it are submitted when this is answered.
    await_all_loops(from_now(kCommitMax), [this](Shard& shard, std::function<void()> done) {
      rule_journal_->submit({.loop = static_cast<uint32_t>(&shard - shards_.data()), .is_awaited = true, .records = {}},
                            *shard.loop, [done = std::move(done)](const Result<void>&) { done(); });
    });
  }
  if (session_journal_) {
    await_all_loops(from_now(kCommitMax), [this](Shard& shard, std::function<void()> done) {
      session_journal_->submit({.records = {}, .messages = {}, .is_awaited = true},
                               [&shard, done = std::move(done)](bool) { shard.loop->post(done); });
    });
  }
  // What was submitted until now is durable, and its acknowledgements are on their way, when this is answered; on every
  // loop, because the spool answers one after the other.
  await_all_loops(from_now(kCommitMax), [this](Shard& shard, std::function<void()> done) {
    spool_->submit({}, *shard.loop, spool::Urgency::kAwaited,
                   [done = std::move(done)](const spool::Submission&) { done(); });
  });
  const bool ended = await_all_loops(from_now(kRequestsDrainMax), [this](Shard& shard, std::function<void()> done) {
    shard.broker->shut_down();
    workers_->on(static_cast<size_t>(&shard - shards_.data())).close_sockets();
    shard.http->drain(std::move(done));
  });
  if (!ended) {
    log_warning("node", "some HTTP requests did not end in time and are cut off");
    on_all_loops([](Shard& shard) { shard.http->cut_off(); });
  }
  if (uplink_) {
    auto sent = std::make_shared<std::promise<void>>();
    shards_[0].loop->post([this, sent] { uplink_->drain([sent] { sent->set_value(); }); });
    sent->get_future().wait_until(from_now(kUplinkDrainMax));
  }
}

Node::~Node() {
  if (running_) {
    std::promise<void> stopped;
    shards_[0].loop->post([&] {
      if (uplink_) uplink_->stop();
      questions_->stop();
      stopped.set_value();
    });
    stopped.get_future().wait();
    if (tls_loop_) {
      tls_loop_->stop();
      tls_thread_.join();
    }
    worker_.stop();
    worker_thread_.join();
    if (express_thread_.joinable()) {
      express_worker_.stop();
      express_thread_.join();
    }
    admin_loop_.stop();
    admin_thread_.join();
  }
  // The writers end while the loops still run: what they answer goes to them.
  if (stream_) stream_->stop();
  if (rule_journal_) rule_journal_->stop();
  if (session_journal_) session_journal_->stop();
  if (spool_) spool_->stop();
  for (Shard& shard : shards_) {
    if (!shard.thread.joinable()) continue;
    shard.loop->stop();
    shard.thread.join();
  }
  if (kept_) kept_->stop();
  tls_listeners_.clear();
  admin_listeners_.clear();
  admin_.reset();
  report_sender_.reset();
  overview_.reset();
  for (Shard& shard : shards_) shard.listeners.clear();
  bridges_.clear();
  uplink_.reset();
  questions_.reset();
}

std::string Node::addresses_json() const {
  const auto list = [](const std::vector<std::string>& addresses) {
    std::string text = "[";
    for (const std::string& address : addresses) {
      if (text.size() > 1) text.push_back(',');
      append_json_string(text, address);
    }
    return text.append("]");
  };
  std::string text = fmt::format(R"({{"mqtt":{},"http":{},"admin":{})", list(mqtt_addresses_), list(http_addresses_),
                                 list(admin_addresses_));
  if (!mqtt_tls_addresses_.empty()) text.append(R"(,"mqtt_tls":)").append(list(mqtt_tls_addresses_));
  if (!mqtt_ws_addresses_.empty()) text.append(R"(,"mqtt_ws":)").append(list(mqtt_ws_addresses_));
  if (!mqtt_ws_tls_addresses_.empty()) text.append(R"(,"mqtt_ws_tls":)").append(list(mqtt_ws_tls_addresses_));
  if (!http_tls_addresses_.empty()) text.append(R"(,"http_tls":)").append(list(http_tls_addresses_));
  std::vector<std::string> files;
  for (const net::SocketFile& file : mqtt_files_) files.push_back(file.path());
  if (!files.empty()) text.append(R"(,"mqtt_unix":)").append(list(files));
  return text.append("}");
}

void Node::ask_brokers(const std::function<void(mqtt::Broker&)>& ask, runtime::Loop& back, std::function<void()> done) {
  struct Asking {
    std::atomic<size_t> left;
    std::function<void()> done;
  };
  const auto asking = std::make_shared<Asking>(shards_.size(), std::move(done));
  for (Shard& shard : shards_) {
    shard.loop->post([&shard, ask, asking, &back] {
      ask(*shard.broker);
      if (asking->left.fetch_sub(1) == 1) back.post([asking] { asking->done(); });
    });
  }
}

std::array<uint64_t, spool::kStreams> Node::durable_ends() const {
  std::array<uint64_t, spool::kStreams> ends{};
  for (const Priority stream : kPriorities) ends[static_cast<size_t>(stream)] = spool_->progress(stream).end;
  return ends;
}

std::string Node::not_ready() const {
  if (draining_) return "the node is shutting down";
  if (!running_) return "the node is starting";
  if (std::string reason = children_->not_ready(); !reason.empty()) return reason;
  if (spool_->is_full()) return "the spool refuses records: its disk or spool.bytes_max is full";
  return {};
}

}  // namespace verge::node
