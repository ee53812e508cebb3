#include "node/node.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>

#include <fmt/format.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sys/vfs.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "net/address.h"
#include "node/admin_api.h"
#include "node/config_address.h"
#include "node/worker_thread.h"

namespace verge::node {
namespace {

constexpr size_t kSpoolWaitingBytesMax = 64U << 20;
constexpr size_t kRetainedBytesMax = 256U << 20;
constexpr size_t kSessionBytesMax = 1U << 30;
// While draining: for batches of children to be stored and evaluated, for the disk, for HTTP requests to end, and for
// what is left to reach the parent.
constexpr Duration kBatchesDrainMax = std::chrono::seconds(2);
constexpr Duration kCommitMax = std::chrono::seconds(5);
constexpr Duration kRequestsDrainMax = std::chrono::seconds(3);
constexpr Duration kUplinkDrainMax = std::chrono::seconds(5);
// A batch always fits, however small the bodies of devices are to be.
constexpr size_t kBatchBodyMax = 24U << 20;

// Whether who connects to `url` is served by who listens on `text`, both on one machine.
bool is_reached_by(const std::string& text, const std::string& url) {
  const Result<HostAndPort> own = parse_listen_address(text);
  const Result<HostAndPort> parent = parse_parent_url(url);
  if (!own || !parent || own->port != parent->port) return false;
  const auto numeric = [](const std::string& host) { return lower(host) == "localhost" ? "127.0.0.1" : lower(host); };
  const std::string host = numeric(parent->host);
  const bool is_wide = own->host == "0.0.0.0" || own->host == "::";
  return host == numeric(own->host) || (is_wide && (host.starts_with("127.") || host == "::1"));
}

// What opening it would only call missing, or in the way.
Result<void> check_data_directory(const std::string& path) {
  std::error_code unknown;
  for (std::filesystem::path at = std::filesystem::absolute(path); !at.empty(); at = at.parent_path()) {
    const std::filesystem::file_status status = std::filesystem::status(at, unknown);
    if (status.type() == std::filesystem::file_type::not_found && at != at.parent_path()) continue;
    if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
      return fail("node.data-dir", fmt::format("node.data_dir = {}: {} is no directory", path, at.string()),
                  "set node.data_dir to a directory; it is made if it is not there");
    }
    struct statfs system{};
    const bool keeps_nothing =
        ::statfs(at.c_str(), &system) == 0 &&
        (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC);
    if (keeps_nothing) {
      return fail("node.data-dir",
                  fmt::format("node.data_dir = {}: {} belongs to the kernel and keeps no files", path, at.string()),
                  "set node.data_dir to a place on a disk");
    }
    return {};
  }
  return {};
}

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
      const auto [other, is_new] = taken.emplace(address->text(), key);
      if (is_new) continue;
      // One of them may be a default, which stands nowhere.
      std::string place = config.origin.place_of_given(key);
      if (place.empty()) place = config.place_of(other->second);
      problems.push_back(
          {{"config.address-twice", fmt::format("{} and {} would both listen on {}", other->second, key, text),
            "give one of them another port; port 0 takes a free one"},
           std::move(place)});
    }
  }
  for (const std::string& text : config.http.listen) {
    if (!is_reached_by(text, config.parent.url)) continue;
    problems.push_back(
        {{"config.value",
          fmt::format("parent.url = {} is {}, where this node itself listens (http.listen)", config.parent.url, text),
          "set it to the node one tier up, or leave it out where there is none"},
         config.place_of("parent.url")});
  }
  return problems;
}

Result<std::unique_ptr<Node>> Node::create(const Config& config, std::shared_ptr<const rules::RuleSet> rules) {
  if (const Result<void> checked = check_data_directory(config.node.data_dir); !checked) {
    return std::unexpected(checked.error());
  }
  Result<storage::DataDirectory> directory = storage::DataDirectory::open(config.node.data_dir);
  if (!directory) return std::unexpected(directory.error());
  const Result<NodeId> id = directory->node_id();
  if (!id) return std::unexpected(id.error());
  std::unique_ptr<Node> node(new Node(config, std::move(*directory), *id));
  node->note_name();
  if (const Result<void> opened = node->open_spool(); !opened) return std::unexpected(opened.error());
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

// For who reads the directory without the node: events that entered here carry no name.
void Node::note_name() {
  const std::string path = data_directory_.path() + "/identity/name";
  const std::string text = config_.node.name + "\n";
  const Result<std::string> before = file_system_.read_file(path, 1024);
  if (before && *before == text) return;
  const Result<void> noted = file_system_.replace_file(path, text);
  if (!noted) log_warning("node", "{}", noted.error().line());
}

Result<void> Node::open_spool() {
  spool::Spool::Recovery recovery;
  Result<std::unique_ptr<spool::Spool>> opened = spool::Spool::open(file_system_, spool_directory(),
                                                                    {.bytes_max = config_.spool.bytes_max,
                                                                     .segment_bytes = config_.spool.segment_bytes,
                                                                     .sources_max = config_.spool.sources_max},
                                                                    recovery);
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
                            .retained_bytes_max = kRetainedBytesMax / count,
                            .sessions_max = config_.mqtt.sessions_max / count + 1,
                            .session_bytes_max = kSessionBytesMax / count,
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
    shard.uplink_receiver = std::make_unique<UplinkReceiver>(*shard.loop, worker_, *shard.path, id_);
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
  uplink_ = std::make_unique<spool::Uplink>(*shards_[0].loop, worker_, file_system_, spool_directory(), *spool_, id_,
                                            config_.node.name, config_.parent.url,
                                            spool::UplinkOptions{.batch_bytes_max = config_.parent.batch_bytes_max,
                                                                 .batch_age_max = config_.parent.batch_age_max,
                                                                 .timeout = config_.parent.timeout,
                                                                 .retry_max = config_.parent.retry_max});
  shards_[0].loop->post([this] { uplink_->start(); });
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
  on_all_loops([](Shard& shard) {
    shard.listeners.clear();
    shard.broker->stop_reading();
  });
  const auto from_now = [](Duration duration) { return std::chrono::steady_clock::now() + duration; };
  // What children sent goes into windows on any loop, so that none may close before all of it is there.
  await_all_loops(from_now(kBatchesDrainMax),
                  [](Shard& shard, std::function<void()> done) { shard.uplink_receiver->drain(std::move(done)); });
  on_all_loops([](Shard& shard) { shard.path->drain(); });
  // What was submitted until now is durable, and its acknowledgements are on their way, when this is answered.
  auto committed = std::make_shared<std::promise<void>>();
  spool_->submit({}, *shards_[0].loop, spool::Urgency::kAwaited,
                 [committed](const spool::Submission&) { committed->set_value(); });
  committed->get_future().wait_until(from_now(kCommitMax));
  const bool ended = await_all_loops(from_now(kRequestsDrainMax), [](Shard& shard, std::function<void()> done) {
    shard.broker->shut_down();
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
  // The writer ends while the loops still run: what it answers goes to them.
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
  if (spool_->is_full()) return "the spool refuses records: its disk or spool.bytes_max is full";
  return {};
}

}  // namespace verge::node
