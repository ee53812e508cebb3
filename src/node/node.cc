#include "node/node.h"

#include <algorithm>
#include <future>
#include <map>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "jetstream/nats_stream.h"
#include "net/address.h"
#include "node/admin_api.h"

namespace verge::node {
namespace {

constexpr size_t kSpoolWaitingBytesMax = 64U << 20;
constexpr Duration kDrainMax = std::chrono::seconds(10);
// A batch always fits, however small the bodies of devices are to be.
constexpr size_t kBatchBodyMax = 24U << 20;
constexpr int kWorkerNice = 10;  // event loops come first

// Threads that compress and answer queries yield to those that decide.
void lower_own_priority() { setpriority(PRIO_PROCESS, 0, kWorkerNice); }

}  // namespace

std::expected<std::shared_ptr<const rules::RuleSet>, ConfigProblems> compile_rules(const Config& config) {
  auto compiled = rules::RuleSet::compile(config.rules);
  if (compiled) return *compiled;
  ConfigProblems problems;
  for (const rules::RuleProblem& problem : compiled.error()) {
    problems.push_back({problem.error, config.place_of(problem)});
  }
  return std::unexpected(std::move(problems));
}

ConfigProblems check_listeners(const Config& config) {
  const std::pair<const char*, const std::vector<std::string>*> listeners[] = {{"mqtt.listen", &config.mqtt.listen},
                                                                               {"http.listen", &config.http.listen},
                                                                               {"admin.listen", &config.admin.listen}};
  ConfigProblems problems;
  std::map<std::string, const char*> taken;
  for (const auto& [key, addresses] : listeners) {
    for (const std::string& text : *addresses) {
      const Result<net::Address> address = net::Address::parse(text);
      if (!config.node.allow_anonymous && !(address && address->is_loopback())) {
        problems.push_back(
            {{"config.exposed",
              fmt::format("{} = {} can be reached from other machines, and clients are not authenticated", key, text),
              "listen on 127.0.0.1, or set node.allow_anonymous = true where the network is trusted"},
             config.place_of(key)});
      }
      if (!address || address->port() == 0) continue;
      const auto [place, is_new] = taken.emplace(address->text(), key);
      if (is_new) continue;
      problems.push_back(
          {{"config.address-twice", fmt::format("{} and {} would both listen on {}", place->second, key, text),
            "give one of them another port; port 0 takes a free one"},
           config.place_of(key)});
    }
  }
  return problems;
}

Result<std::unique_ptr<Node>> Node::create(const Config& config, std::shared_ptr<const rules::RuleSet> rules) {
  Result<storage::DataDirectory> directory = storage::DataDirectory::open(config.node.data_dir);
  if (!directory) return std::unexpected(directory.error());
  const Result<NodeId> id = directory->node_id();
  if (!id) return std::unexpected(id.error());
  std::unique_ptr<Node> node(new Node(config, std::move(*directory), *id));
  if (const Result<void> opened = node->open_spool(); !opened) return std::unexpected(opened.error());
  if (const Result<void> opened = node->open_child_store(); !opened) return std::unexpected(opened.error());
  node->make_shards(std::move(rules));
  if (const Result<void> opened = node->open_listeners(); !opened) return std::unexpected(opened.error());
  node->make_uplink();
  return node;
}

Node::Node(const Config& config, storage::DataDirectory data_directory, NodeId id)
    : config_(config), data_directory_(std::move(data_directory)), id_(id), started_(std::chrono::steady_clock::now()) {
  // One heap for few threads: an arena a thread would cost an idle node megabytes.
  mallopt(M_ARENA_MAX, 2);
}

Result<void> Node::open_spool() {
  spool::Spool::Recovery recovery;
  const SpoolConfig& config = config_.spool;
  const spool::SpoolOptions options{.bytes_max = config.bytes_max,
                                    .critical_reserve = config.critical_reserve,
                                    .segment_bytes = config.segment_bytes,
                                    .sources_max = config.sources_max,
                                    .streams = {config.critical, config.high, config.normal, config.low}};
  Result<std::unique_ptr<spool::Spool>> opened = spool::Spool::open(file_system_, spool_directory(), options, recovery);
  if (!opened) return std::unexpected(opened.error());
  for (const storage::DamagedRange& range : recovery.damaged) {
    if (range.first_sequence == range.end_sequence) {
      log_warning("spool", "{} cannot be read from byte {} on: a write that a crash cut off, or damage to the disk",
                  range.path, range.offset);
    } else {
      log_error("spool", "{} is damaged at byte {}: records {} to {} cannot be read", range.path, range.offset,
                range.first_sequence, range.end_sequence - 1);
    }
  }
  spool_ = std::make_unique<spool::SpoolWriter>(std::move(*opened), kSpoolWaitingBytesMax, [this] {
    if (uplink_) uplink_->wake();
  });
  return {};
}

void Node::make_shards(std::shared_ptr<const rules::RuleSet> rules) {
  const size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const size_t count =
      config_.runtime.loops == 0 ? std::min<size_t>(cores, mqtt::SubscriptionTree::kShardsMax) : config_.runtime.loops;
  const mqtt::Limits limits{.packet_bytes_max = config_.mqtt.packet_bytes_max,
                            .connections_max = config_.mqtt.connections_max / count + 1,
                            .inflight_max = config_.mqtt.inflight_max,
                            .queue_bytes_max = config_.mqtt.queue_bytes_max,
                            .retained_max = config_.mqtt.retained_max / count + 1,
                            .session_expiry_max = config_.mqtt.session_expiry_max};
  const net::HttpServerLimits http_limits{
      .body_bytes_max = std::max<size_t>(config_.http.body_bytes_max, kBatchBodyMax),
      .connections_max = config_.http.connections_max / count + 1};
  shards_.resize(count);
  std::vector<EventPath*> paths;
  std::vector<mqtt::Broker*> brokers;
  for (size_t i = 0; i < count; ++i) {
    Shard& shard = shards_[i];
    shard.loop = std::make_unique<runtime::Loop>(fmt::format("loop-{}", i));
    shard.path = std::make_unique<EventPath>(*shard.loop, i, clock_, *spool_, rules);
    shard.broker = std::make_unique<mqtt::Broker>(*shard.loop, i, limits, *shard.path);
    shard.http = std::make_unique<net::HttpServer>(
        *shard.loop, http_limits, [this, i](const net::HttpRequest& request, net::HttpResponder responder) {
          receive(i, request, std::move(responder));
        });
    paths.push_back(shard.path.get());
    brokers.push_back(shard.broker.get());
  }
  for (size_t i = 0; i < count; ++i) {
    shards_[i].broker->join(brokers);
    shards_[i].path->join(paths, *brokers[i]);
  }
}

Result<void> Node::open_listeners() {
  Result<void> opened = listen(config_.mqtt.listen, mqtt_addresses_, [this](size_t i, net::Socket socket) {
    mqtt::Broker* broker = shards_[i].broker.get();
    shards_[i].listeners.push_back(std::make_unique<net::TcpListener>(
        *shards_[i].loop, std::move(socket), [broker](net::Socket client) { broker->accept(std::move(client)); }));
  });
  if (!opened) return opened;
  opened = listen(config_.http.listen, http_addresses_, [this](size_t i, net::Socket socket) {
    net::HttpServer* http = shards_[i].http.get();
    shards_[i].listeners.push_back(std::make_unique<net::TcpListener>(
        *shards_[i].loop, std::move(socket), [http](net::Socket client) { http->accept(std::move(client)); }));
  });
  if (!opened) return opened;
  admin_ = std::make_unique<AdminApi>(*this, admin_loop_);
  for (const std::string& text : config_.admin.listen) {
    const Result<net::Address> address = net::Address::resolve(text);
    if (!address) return std::unexpected(address.error());
    Result<net::Socket> socket = net::Socket::listen(*address, /*shared=*/false);
    if (!socket) return std::unexpected(socket.error());
    admin_addresses_.push_back(net::Address::local_of(socket->descriptor()).text());
    admin_listeners_.push_back(std::make_unique<net::TcpListener>(
        admin_loop_, std::move(*socket), [this](net::Socket client) { admin_->accept(std::move(client)); }));
  }
  return {};
}

Result<void> Node::listen(const std::vector<std::string>& addresses, std::vector<std::string>& bound,
                          const std::function<void(size_t loop, net::Socket)>& take) {
  for (const std::string& text : addresses) {
    const Result<net::Address> address = net::Address::resolve(text);
    if (!address) return std::unexpected(address.error());
    Result<std::vector<net::Socket>> sockets = net::listen_on_loops(*address, shards_.size());
    if (!sockets) return std::unexpected(sockets.error());
    bound.push_back(net::Address::local_of(sockets->front().descriptor()).text());
    for (size_t i = 0; i < shards_.size(); ++i) take(i, std::move((*sockets)[i]));
  }
  return {};
}

void Node::make_uplink() {
  if (config_.parent.url.empty()) return;
  const ParentConfig& parent = config_.parent;
  const SpoolConfig& spool = config_.spool;
  const auto count = [](uint64_t value) { return static_cast<uint32_t>(value); };
  uplink_ = std::make_unique<spool::Uplink>(
      *shards_[0].loop, worker_, file_system_, spool_directory(), *spool_, id_, config_.node.name, parent.url,
      spool::UplinkOptions{.batch_bytes_max = parent.batch_bytes_max,
                           .batch_age_max = parent.batch_age_max,
                           .backlog_share = static_cast<double>(parent.backlog_share_percent) / 100.0,
                           .timeout = parent.timeout,
                           .retry_max = parent.retry_max,
                           .attempts = {count(parent.attempts.critical), count(parent.attempts.high),
                                        count(parent.attempts.normal), count(parent.attempts.low)},
                           .ttl = {spool.critical.ttl, spool.high.ttl, spool.normal.ttl, spool.low.ttl},
                           .ttl_stops_in_outage = spool.ttl_stops_in_outage});
  shards_[0].loop->post([this] { uplink_->start(); });
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
                                   .credentials_path = config_.store.credentials});
  if (!stream) return std::unexpected(stream.error());
  stream_ = std::make_unique<jetstream::StreamStore>(
      std::move(*stream), jetstream::StoreOptions{.stream = config_.store.stream,
                                                  .node = id_,
                                                  .timeout = config_.store.timeout,
                                                  .waiting_bytes_max = kSpoolWaitingBytesMax,
                                                  .subjects_max = config_.spool.sources_max});
  children_ = std::make_unique<StreamedChildren>(*stream_);
  return {};
}

void Node::start() {
  running_ = true;
  for (Shard& shard : shards_) shard.thread = std::thread([&shard] { shard.loop->run(); });
  worker_thread_ = std::thread([this] {
    lower_own_priority();
    worker_.run();
  });
  admin_thread_ = std::thread([this] {
    lower_own_priority();
    admin_loop_.run();
  });
  log_info("node", "{} ({}, {}) is ready: mqtt {}, http {}, admin {}{}", config_.node.name, name_of(config_.node.tier),
           id_.text(), fmt::join(mqtt_addresses_, " "), fmt::join(http_addresses_, " "),
           fmt::join(admin_addresses_, " "), config_.parent.url.empty() ? "" : ", parent " + config_.parent.url);
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

void Node::reload(const Config& config, std::shared_ptr<const rules::RuleSet> rules) {
  configure_log(config.log.level, config.log.format);
  on_all_loops([&](Shard& shard) { shard.path->replace_rules(rules); });
  Config applied = config_;
  applied.rules = config.rules;
  applied.log = config.log;
  if (same_settings(applied, config)) {
    log_info("node", "the configuration was reloaded: {} rules", config.rules.size());
  } else {
    log_warning("node", "the configuration was reloaded: {} rules; what else changed takes effect at the next start",
                config.rules.size());
  }
  config_.rules = config.rules;
  config_.log = config.log;
}

void Node::drain() {
  draining_ = true;
  on_all_loops([](Shard& shard) {
    shard.listeners.clear();
    shard.broker->stop_reading();
    shard.path->drain();
  });
  const auto deadline = std::chrono::steady_clock::now() + kDrainMax;
  // What was submitted until now is durable, and its acknowledgements are on their way, when this is answered.
  auto committed = std::make_shared<std::promise<void>>();
  spool_->submit({}, *shards_[0].loop, spool::Urgency::kAwaited,
                 [committed](const spool::Submission&) { committed->set_value(); });
  committed->get_future().wait_until(deadline);
  std::vector<std::promise<void>> closed(shards_.size());
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].loop->post([&, i] {
      shards_[i].broker->shut_down();
      shards_[i].http->drain([&closed, i] { closed[i].set_value(); });
    });
  }
  for (std::promise<void>& promise : closed) {
    if (promise.get_future().wait_until(deadline) != std::future_status::ready) {
      log_warning("node", "some HTTP requests did not end in time and are cut off");
      std::_Exit(0);
    }
  }
  if (uplink_) {
    auto sent = std::make_shared<std::promise<void>>();
    shards_[0].loop->post([this, sent] { uplink_->drain([sent] { sent->set_value(); }); });
    sent->get_future().wait_until(deadline);
  }
}

Node::~Node() {
  if (running_) {
    if (uplink_) {
      std::promise<void> stopped;
      shards_[0].loop->post([&] {
        uplink_->stop();
        stopped.set_value();
      });
      stopped.get_future().wait();
    }
    worker_.stop();
    worker_thread_.join();
    admin_loop_.stop();
    admin_thread_.join();
  }
  // The writers end while the loops still run: what they answer goes to them.
  if (stream_) stream_->stop();
  if (spool_) spool_->stop();
  for (Shard& shard : shards_) {
    if (!shard.thread.joinable()) continue;
    shard.loop->stop();
    shard.thread.join();
  }
  admin_listeners_.clear();
  admin_.reset();
  for (Shard& shard : shards_) shard.listeners.clear();
  uplink_.reset();
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
  return fmt::format("{{\"mqtt\":{},\"http\":{},\"admin\":{}}}", list(mqtt_addresses_), list(http_addresses_),
                     list(admin_addresses_));
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
