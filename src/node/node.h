// Node: the composition root. From a configuration it makes a running node and connects the capabilities; no other
// folder knows them all.
//
// Threads: one event loop a core (listeners, broker, event path, HTTP server each), the spool's writer, with
// store.engine = "nats" one that appends to the stream, a worker (reading the log and compressing for the uplink), and
// one for the admin listener, so that a query holds up nobody. The uplink runs on the first event loop.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "jetstream/stream_store.h"
#include "mqtt/broker.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "node/child_store.h"
#include "node/config.h"
#include "node/event_path.h"
#include "rules/rule_set.h"
#include "runtime/loop.h"
#include "spool/spool_writer.h"
#include "spool/uplink.h"
#include "storage/data_directory.h"
#include "storage/file_system.h"

namespace verge::node {

class AdminApi;

// Compiles the rules of a configuration; the problems, one a rule, are placed in the file.
std::expected<std::shared_ptr<const rules::RuleSet>, ConfigProblems> compile_rules(const Config& config);

// What is wrong with the listeners of a configuration that reads well: those that strangers could reach
// (config.exposed) and those that would take the same address (config.address-twice).
ConfigProblems check_listeners(const Config& config);

class Node {
 public:
  // Opens the data directory and all listeners. Nothing is served until start().
  static Result<std::unique_ptr<Node>> create(const Config& config, std::shared_ptr<const rules::RuleSet> rules);
  ~Node();

  void start();
  // {"mqtt":["127.0.0.1:1883"],"http":[…],"admin":[…]}
  [[nodiscard]] std::string addresses_json() const;

  // Takes over what can change while running (rules, log); says in the log what cannot.
  void reload(const Config& config, std::shared_ptr<const rules::RuleSet> rules);

  // Stops taking new work, finishes what is under way, sends what is left if the parent is there. Returns when done.
  void drain();

  // For the admin listener; from any thread.
  [[nodiscard]] std::string status_json() const;
  [[nodiscard]] std::string metrics_text() const;
  // Why the node does not take work; empty when it does.
  [[nodiscard]] std::string not_ready() const;
  [[nodiscard]] const NodeId& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return config_.node.name; }
  // Where what children send is kept.
  [[nodiscard]] const StoreConfig& store() const { return config_.store; }
  [[nodiscard]] std::string spool_directory() const { return data_directory_.path() + "/spool"; }
  [[nodiscard]] storage::FileSystem& file_system() { return file_system_; }
  [[nodiscard]] std::array<uint64_t, spool::kStreams> durable_ends() const;

 private:
  // All that one event loop owns.
  struct Shard {
    std::unique_ptr<runtime::Loop> loop;
    std::unique_ptr<EventPath> path;
    std::unique_ptr<mqtt::Broker> broker;
    std::unique_ptr<net::HttpServer> http;
    std::vector<std::unique_ptr<net::TcpListener>> listeners;
    std::thread thread;
  };

  Node(const Config& config, storage::DataDirectory data_directory, NodeId id);
  Result<void> open_spool();
  Result<void> open_child_store();
  void make_shards(std::shared_ptr<const rules::RuleSet> rules);
  Result<void> open_listeners();
  Result<void> listen(const std::vector<std::string>& addresses, std::vector<std::string>& bound,
                      const std::function<void(size_t loop, net::Socket)>& take);
  void make_uplink();
  void receive(size_t shard, const net::HttpRequest& request, net::HttpResponder responder);
  void receive_events(EventPath& path, const net::HttpRequest& request, net::HttpResponder responder);
  void receive_batch(EventPath& path, const net::HttpRequest& request, net::HttpResponder responder);
  // Runs `work` on each event loop and returns when all have.
  void on_all_loops(const std::function<void(Shard&)>& work);

  Config config_;
  storage::DataDirectory data_directory_;
  const NodeId id_;
  SystemClock clock_;
  storage::PosixFileSystem file_system_;
  const MonotonicTime started_;
  std::vector<Shard> shards_;
  runtime::Loop worker_{"worker"};
  std::thread worker_thread_;
  runtime::Loop admin_loop_{"admin"};
  std::thread admin_thread_;
  std::unique_ptr<spool::SpoolWriter> spool_;
  std::unique_ptr<jetstream::StreamStore> stream_;  // only with store.engine = "nats"
  std::unique_ptr<ChildStore> children_;
  std::unique_ptr<spool::Uplink> uplink_;
  std::unique_ptr<AdminApi> admin_;
  std::vector<std::unique_ptr<net::TcpListener>> admin_listeners_;
  std::vector<std::string> mqtt_addresses_;
  std::vector<std::string> http_addresses_;
  std::vector<std::string> admin_addresses_;
  std::atomic<bool> running_{false};
  std::atomic<bool> draining_{false};
  std::atomic<bool> circle_seen_{false};
};

}  // namespace verge::node
