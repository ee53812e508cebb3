// Node: the composition root. From a configuration it makes a running node and connects the capabilities; no other
// folder knows them all.
//
// Threads: one event loop a core (listeners, broker, event path, HTTP server each), the spool's writer, a worker
// (reading the log and compressing for the uplink, unpacking what children send), one for the admin listener, once
// somebody asks one that reads for queries, so that a query holds up nobody, where there are TLS listeners one for
// handshakes, for the same reason, one for each path to the parent that resolves its name, likewise, and with
// store.engine = "nats" one that appends to the stream. The uplink runs on the first event loop.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "mqtt/bridge.h"
#include "mqtt/broker.h"
#include "net/handed_over.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/proxy_receptions.h"
#include "net/socket_file.h"
#include "net/tls_listener.h"
#include "node/ask_receiver.h"
#include "node/child_store.h"
#include "node/compiled_rules.h"
#include "node/config.h"
#include "node/created_rules.h"
#include "node/credentials.h"
#include "node/deployed_workers.h"
#include "node/descriptor_plan.h"
#include "node/event_path.h"
#include "node/event_tail.h"
#include "node/event_traces.h"
#include "node/ingest_receiver.h"
#include "node/kept_events.h"
#include "node/overview.h"
#include "node/questions.h"
#include "node/readings.h"
#include "node/report_receiver.h"
#include "node/report_sender.h"
#include "node/request_runs.h"
#include "node/row_computer.h"
#include "node/rule_journal.h"
#include "node/sites.h"
#include "node/sys_topics.h"
#include "node/trace_exporter.h"
#include "node/uplink_receiver.h"
#include "node/webhooks.h"
#include "node/workers.h"
#include "rules/memory_budget.h"
#include "rules/rule_set.h"
#include "runtime/loop.h"
#include "spool/spool_writer.h"
#include "spool/uplink.h"
#include "storage/data_directory.h"
#include "storage/file_system.h"

namespace verge::node {

class AdminApi;

mqtt::AccessRules access_rules(const MqttConfig& config);
// Whose connections begin with a PROXY header.
std::vector<net::Network> proxies_of(const MqttConfig& config);
// As each of so many loops keeps them.
mqtt::Rates rates_of(const MqttConfig& config, size_t loops);

class Node {
 public:
  // Takes as many descriptors as the system allows, opens the data directory and all listeners; what was handed over
  // for one of their addresses is used. Nothing is served until start().
  static Result<std::unique_ptr<Node>> create(const Config& config, std::shared_ptr<const rules::RuleSet> rules,
                                              const Credentials& credentials, net::HandedOver handed_over = {});
  ~Node();

  void start();
  // {"mqtt":["127.0.0.1:1883"],"http":[…],"admin":[…]}, and "mqtt_tls":[…], "mqtt_ws":[…], "mqtt_ws_tls":[…],
  // "mqtt_unix":[…], "http_tls":[…] where there are some.
  [[nodiscard]] std::string addresses_json() const;

  // Takes over what can change while running (rules, sites, log, certificates and secrets, the latter for connections,
  // requests and files from now on); says in the log what cannot. Nothing is taken over where the listeners that run
  // would then be open to strangers, or where a key would be missing for what the spool holds.
  void reload(const Config& config, std::shared_ptr<const rules::RuleSet> rules, const Credentials& credentials);

  // Opens the access log again, for who moved its file away.
  void reopen_logs() { sites_->reopen_access_log(); }

  // Stops taking new work, finishes what is under way, sends what is left if the parent is there. Returns when done.
  void drain();

  // What is done to the rules that were created, given those of the configuration.
  using RuleChange = std::function<Result<void>(CreatedRules& rules, const std::vector<rules::RuleSource>& configured)>;
  // Makes the change, keeps it, and goes over to the rules that run then. An error changes nothing. From any thread but
  // those of the loops.
  std::expected<void, RuleRefusal> change_rules(const RuleChange& change);
  // All rules, or the one of that name: empty where there is none.
  [[nodiscard]] std::string rules_json(std::string_view only) const;

  // --- Workers that are deployed while it runs; from any thread but those of the loops. Answers are JSON.
  // `bundle`: see node/worker_bundle.h. It is started first: one that cannot be is refused, and nothing has changed.
  // Errors: those of reading it; workers.configured; those of its start; those of the disk.
  Result<std::string> deploy_worker(std::string_view bundle);
  // `version`: 0 is the one before. Errors: those of DeployedWorkers.
  Result<std::string> roll_back_worker(std::string_view name, uint64_t version);
  Result<std::string> remove_worker(std::string_view name);
  // All workers, or the one of that name: empty where there is none.
  [[nodiscard]] std::string workers_json(std::string_view only) const;
  // NDJSON of what the worker said after that line, and the number of the last line.
  [[nodiscard]] std::pair<std::string, uint64_t> worker_console(std::string_view name, uint64_t after,
                                                                bool with_calls) const;
  // Null: no worker has a namespace.
  [[nodiscard]] kv::KeyValueStore* kv() const { return workers_->kv(); }
  // Null: there is none.
  [[nodiscard]] queues::QueueStore* queues() const { return workers_->queues(); }
  // Those that have keys, and those that workers name, by name.
  [[nodiscard]] std::vector<kv::SpaceTotals> kv_spaces() const;
  [[nodiscard]] int64_t now_s() const { return clock_.wall().microseconds / 1'000'000; }
  // Who may deploy: those who show one of these; none are asked for: whoever reaches an admin listener on loopback.
  [[nodiscard]] std::shared_ptr<const net::BearerTokens> deploy_tokens() const {
    const std::lock_guard lock(rules_mutex_);
    return credentials_.deploy_tokens;
  }
  [[nodiscard]] bool has_open_admin_listener() const;

  // For the admin listener; from any thread.
  [[nodiscard]] std::string status_json() const;
  [[nodiscard]] Readings readings() const;
  // It answered the last report, or, where none are sent, the last batch. There is a parent.
  [[nodiscard]] bool is_parent_reached() const;
  [[nodiscard]] std::string metrics_text() const;
  // Calls `ask` with each loop's broker, on that loop, and when all were asked `done` on `back`.
  void ask_brokers(const std::function<void(mqtt::Broker&)>& ask, runtime::Loop& back, std::function<void()> done);
  // Who keeps the twin of that device.
  [[nodiscard]] mqtt::Broker& broker_of_twin(std::string_view device) const {
    return *shards_[mqtt::Broker::retaining_shard_of(mqtt::twin_topic(device, "document"), shards_.size())].broker;
  }
  // Each is looked at on the loop of its home, but for its counters.
  [[nodiscard]] const std::vector<std::unique_ptr<mqtt::Bridge>>& bridges() const { return bridges_; }
  [[nodiscard]] size_t shard_count() const { return shards_.size(); }
  // Why the node does not take work; empty when it does.
  [[nodiscard]] std::string not_ready() const;
  [[nodiscard]] const NodeId& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return config_.node.name; }
  // Where what children send is kept.
  [[nodiscard]] const StoreConfig& store() const { return config_.store; }
  // Makes a request of a site of this node, with its trace; `done` is called on some loop. From any thread.
  void run_request(RequestRuns::Request request, std::function<void(Result<RequestRuns::Answer>)> done);
  // Null: none is configured.
  [[nodiscard]] Sites* sites() const { return sites_->set()->sites.empty() ? nullptr : sites_.get(); }
  [[nodiscard]] std::string spool_directory() const { return data_directory_.path() + "/spool"; }
  [[nodiscard]] storage::FileSystem& file_system() { return file_system_; }
  // What the spool's files are read with.
  [[nodiscard]] const storage::KeyRing& keys() const { return keys_; }
  [[nodiscard]] std::array<uint64_t, spool::kStreams> durable_ends() const;

 private:
  // All that one event loop owns.
  struct Shard {
    std::unique_ptr<runtime::Loop> loop;
    std::unique_ptr<EventPath> path;
    std::unique_ptr<IngestReceiver> ingest_receiver;
    std::unique_ptr<UplinkReceiver> uplink_receiver;
    std::unique_ptr<ReportReceiver> report_receiver;
    std::unique_ptr<AskReceiver> ask_receiver;
    std::unique_ptr<mqtt::Broker> broker;
    std::unique_ptr<net::HttpServer> http;
    std::shared_ptr<const net::BearerTokens> uplink_tokens;
    std::optional<net::Address> accepting_for;  // while a connection is taken over that a proxy brought: its client
    std::vector<std::unique_ptr<net::TcpListener>> listeners;
    std::unique_ptr<net::ProxyReceptions> mqtt_receptions;
    std::vector<net::Network> mqtt_proxies;  // whose connections begin with a PROXY header
    std::thread thread;
  };

  // What an accepted connection is given to.
  using Take = std::function<void(Shard& shard, net::Socket socket)>;
  struct Tls {
    std::unique_ptr<net::TlsListener> listener;
    bool is_mqtt;
  };

  struct TlsTotals {
    uint64_t accepted = 0;
    uint64_t resumed = 0;
    uint64_t failed = 0;
  };

  Node(const Config& config, storage::DataDirectory data_directory, NodeId id, const Credentials& credentials);
  void note_name();
  Result<void> plan_descriptors();
  Result<void> open_spool();
  Result<void> change_spool_keys(const storage::Keys& keys);
  Result<void> open_child_store();
  void make_overview();
  void make_shards(std::shared_ptr<const rules::RuleSet> rules);
  Result<void> load_created_rules();
  // The rules that run: those that were created too, and without those that were stopped.
  [[nodiscard]] std::shared_ptr<const rules::RuleSet> with_created_rules(
      const Config& config, std::shared_ptr<const rules::RuleSet> configured) const;
  // Sessions that outlived their connection, and what waits for them.
  Result<void> restore_sessions();
  // What rules remembered, from the journal; then they go on recording there.
  Result<void> restore_rules(const std::shared_ptr<const rules::RuleSet>& rules);
  Result<void> open_sites();
  Result<void> open_workers();
  // Puts what is configured and what was deployed into effect.
  Result<void> serve_workers();
  // Of both; what is configured hides what was deployed under its name.
  [[nodiscard]] std::vector<WorkerSpec> all_workers() const;
  [[nodiscard]] bool is_configured_worker(std::string_view name) const;
  [[nodiscard]] std::string worker_json(const Workers::Totals& totals, const PlacedWorker& worker) const;
  // With the sites that the routes of workers need.
  [[nodiscard]] Config with_worker_sites(const Config& config) const;
  // A connection of http.listen or http.tls_listen; that of a trusted proxy may begin with a PROXY header.
  std::unique_ptr<net::Stream> make_http_stream(size_t shard, runtime::Loop& loop, net::Socket socket,
                                                net::StreamObserver& observer) const;
  Result<void> open_listeners(net::HandedOver handed_over);
  Result<void> open_admin_listeners(net::HandedOver& handed_over);
  static Result<net::Socket> listening_socket(std::string_view name, const std::string& text,
                                              net::HandedOver& handed_over);
  Result<void> listen(std::string_view name, const std::vector<std::string>& addresses, net::HandedOver& handed_over,
                      std::vector<std::string>& bound, const Take& take);
  Result<void> listen_with_tls(std::string_view name, const std::vector<std::string>& addresses,
                               net::HandedOver& handed_over, std::vector<std::string>& bound, const Take& take);
  Result<void> listen_on_paths();
  // To the broker, behind its PROXY header where it is to begin with one.
  static void take_mqtt(Shard& shard, net::Socket socket, std::function<void(net::Socket)> to_broker);
  void make_tracer();
  void make_questions();
  Result<void> open_kept();
  void make_uplink();
  void make_bridges();
  void stop_bridges();
  // Of a bridge that is configured.
  [[nodiscard]] bool is_bridge_session(std::string_view client_id) const;
  [[nodiscard]] std::vector<spool::ParentPath> parent_paths() const;
  static std::vector<spool::ParentAccess> access_of(const Credentials& credentials);
  // What is decided by the head of a request: whether it is admitted, else answers it; and how long its body may be.
  std::optional<net::BodyLimit> admit(size_t shard, const net::HttpRequest& head, net::HttpResponder& responder) const;
  void receive(size_t shard, const net::HttpRequest& request, net::HttpResponder responder);
  // Whether a request may bring a child's batch, by its head; answers it if not.
  bool authorize_child(const Shard& shard, const net::HttpRequest& request, net::HttpResponder& responder) const;
  // To the listeners of http.tls_listen, from the loop of handshakes.
  void expect_proxies(const HttpConfig& http, const MqttConfig& mqtt);
  [[nodiscard]] TlsTotals tls_totals() const;
  [[nodiscard]] Sites::Totals site_totals() const;
  // Says in the log when a certificate ends soon, or a token can be read on its way.
  void warn_of_credentials(const Credentials& credentials);
  // Null without passwords.
  [[nodiscard]] std::shared_ptr<mqtt::Authenticator> make_authenticator(const MqttConfig& config,
                                                                        const Credentials& credentials);
  void run_in_real_time(size_t loop);
  // Runs `work` on each event loop and returns when all have.
  void on_all_loops(const std::function<void(Shard&)>& work);
  // Calls `begin` on each event loop with a function to be called when its work is done; false when not all were at
  // `deadline`.
  bool await_all_loops(MonotonicTime deadline, const std::function<void(Shard&, std::function<void()> done)>& begin);
  // Emits the open windows of rules that the reload changed or took out, and says so in the log.
  void close_replaced_windows();
  // Runs `work` on the loop of handshakes, if there is one, and returns when it has.
  void on_tls_loop(const std::function<void()>& work);

  Config config_;
  storage::DataDirectory data_directory_;
  const NodeId id_;
  SystemClock clock_;
  storage::PosixFileSystem file_system_;
  storage::KeyRing keys_;  // changed by spool_ only, once that is there
  const MonotonicTime started_;
  DescriptorPlan descriptors_;
  std::string descriptors_note_;     // to be logged once the node is ready
  rules::MemoryBudget rule_memory_;  // outlives the shards
  EventTail tail_;                   // likewise
  // Likewise; null: nothing is traced.
  std::unique_ptr<traces::Tracer> tracer_;
  std::unique_ptr<EventTraces> event_traces_;
  std::unique_ptr<TraceExporter> trace_exporter_;
  std::vector<Shard> shards_;
  std::unique_ptr<SysTopics> sys_topics_;  // null: never published
  runtime::Loop worker_{"worker"};
  std::thread worker_thread_;
  runtime::Loop express_worker_{"express"};  // for what is fresh and important on its way up
  std::thread express_thread_;
  runtime::Loop admin_loop_{"admin"};
  std::thread admin_thread_;
  std::unique_ptr<spool::SpoolWriter> spool_;
  size_t replaced_files_ = 0;       // of the spool, unreadable at the start
  mutable std::mutex rules_mutex_;  // which rules run, and config_
  std::unique_ptr<CreatedRules> created_rules_;
  std::unique_ptr<RuleJournal> rule_journal_;              // only with rules.durable
  std::unique_ptr<mqtt::SessionJournal> session_journal_;  // only with mqtt.durable_sessions
  std::unique_ptr<jetstream::StreamStore> stream_;         // only with store.engine = "nats"
  std::vector<std::unique_ptr<mqtt::Bridge>> bridges_;     // each on the loop of its broker
  std::unique_ptr<ChildStore> children_;
  std::unique_ptr<spool::Uplink> uplink_;
  std::unique_ptr<KeptEvents> kept_;
  std::unique_ptr<Questions> questions_;  // on the first loop
  RowComputer row_computer_;              // ends before the paths that it computes for
  Webhooks webhooks_;                     // outlives the loops, whose paths send
  std::vector<WorkerSpec> worker_specs_;  // of the configuration
  std::unique_ptr<DeployedWorkers> deployed_workers_;
  std::unique_ptr<Workers> workers_;             // outlives the proxies of sites_, whose calls are of its isolates
  std::unique_ptr<Sites> sites_;                 // without any, as long as none is configured
  std::unique_ptr<RequestRuns> request_runs_;    // of the first loop
  std::unique_ptr<Overview> overview_;           // on the admin loop
  std::unique_ptr<ReportSender> report_sender_;  // likewise; null: there is nobody to report to
  std::unique_ptr<AdminApi> admin_;
  std::vector<std::unique_ptr<net::TcpListener>> admin_listeners_;
  std::vector<std::string> mqtt_addresses_;
  std::vector<std::string> http_addresses_;
  std::vector<std::string> admin_addresses_;
  std::vector<std::string> mqtt_tls_addresses_;
  std::vector<std::string> mqtt_ws_addresses_;
  std::vector<std::string> mqtt_ws_tls_addresses_;
  std::vector<std::string> http_tls_addresses_;
  std::vector<net::SocketFile> mqtt_files_;
  Credentials credentials_;                         // as they were at the start, without keys: those are in keys_
  std::vector<spool::ParentAccess> parent_access_;  // by path; on the uplink's loop
  std::unique_ptr<runtime::Loop> tls_loop_;         // null without TLS listeners
  std::vector<Tls> tls_listeners_;                  // their number does not change
  std::thread tls_thread_;
  std::atomic<int64_t> certificate_ends_{0};    // the soonest of the listeners'; seconds since 1970
  std::atomic<int64_t> certificate_begins_{0};  // the latest, likewise
  std::atomic<size_t> realtime_loops_{0};
  std::atomic<bool> running_{false};
  std::atomic<bool> draining_{false};
};

}  // namespace verge::node
