// LoopWorkers: the workers of a node as one event loop calls them: the pool of isolate processes, what workers ask for,
// and which requests are routed to which worker.
//
// Threading: on its loop, but for the counters.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/payload.h"
#include "cache/edge_code.h"
#include "cache/proxy.h"
#include "geo/locations.h"
#include "isolates/http_calls.h"
#include "isolates/http_outbound.h"
#include "isolates/pool.h"
#include "node/code_subrequest.h"
#include "node/cron_times.h"
#include "node/worker_routes.h"
#include "runtime/loop.h"

namespace verge::node {

// Written by the loop of a LoopWorkers.
struct PlacedCounters {
  Counter answers;    // to requests
  Counter computed;   // of these, without a subrequest
  Counter delegated;  // of these, with subrequests to sites of this node only
  Counter fallbacks;  // requests that went on to what the worker stands for, because it failed
};

// A worker, and where it stands.
struct PlacedWorker {
  PlacedWorker(std::shared_ptr<isolates::Worker> its, size_t loops) : worker(std::move(its)), counters(loops) {}

  std::shared_ptr<isolates::Worker> worker;  // shared: calls under way hold it
  uint64_t id = 0;                           // of its name; not 0
  uint64_t version = 0;                      // of a deploy; 0: it is of the configuration
  std::vector<WorkerRoute> routes;
  cache::CodePosition position = cache::CodePosition::kMiss;
  bool falls_back = false;
  bool reaches_private = false;
  std::vector<std::string> cron;
  mutable std::vector<PlacedCounters> counters;  // by loop

  [[nodiscard]] const std::string& name() const { return worker->name(); }
};

// A queue, and the worker that is given what is in it.
struct ConsumedQueue {
  std::string queue;
  std::shared_ptr<isolates::Worker> worker;  // shared: calls under way hold it
  size_t batch_max = 10;
  Duration batch_timeout{0};
  size_t concurrency = 1;  // batches under way at a time
  bool operator==(const ConsumedQueue&) const = default;
};

// Which workers there are; made once, and replaced as a whole.
struct WorkerSet {
  std::vector<std::shared_ptr<const PlacedWorker>> workers;
  WorkerRoutes routes;  // indexes of workers
  std::vector<ConsumedQueue> consumed;

  [[nodiscard]] std::shared_ptr<const PlacedWorker> find(std::string_view name) const;
};

class QueueConsumer;

class LoopWorkers final : public cache::EdgeCode {
 public:
  // All outlive it. `node`: its name.
  LoopWorkers(runtime::Loop& loop, size_t index, cache::Proxy& proxy, const Clock& clock, std::string node);
  ~LoopWorkers() override;
  LoopWorkers(const LoopWorkers&) = delete;
  LoopWorkers& operator=(const LoopWorkers&) = delete;

  // Calls from now on go to these; after open(), where there are some.
  void change(std::shared_ptr<const WorkerSet> set);

  // Where clients are; null: nobody knows.
  void locate(std::shared_ptr<const geo::Locations> locations) { locations_ = std::move(locations); }
  // As a JSON object; empty: not known.
  [[nodiscard]] std::string place_of(const net::Address& client) const {
    return locations_ ? locations_->find(client.ip()) : std::string();
  }

  // Makes the pool, if there is none.
  void open(isolates::Zygote& zygote, net::Resolver& resolver, const isolates::PoolOptions& options,
            const std::function<void(const isolates::ConsoleLine&)>& console);
  // Starts a worker, which need not be one of the set, after open(); `started` is told how long it took.
  void start(const std::shared_ptr<isolates::Worker>& worker, std::function<void(Result<Duration>)> started);

  std::shared_ptr<cache::CodeRoute> find(cache::CodePosition position, std::string_view host,
                                         std::string_view path) override;

  // Where messages of queues come from, before the first change() with one.
  void use(queues::QueueStore& queues);
  // Something came into that queue. Of the first loop.
  void look_at_queue(std::string_view queue);

  // Messages for the worker's `event`; those of one turn are one call. Errors: workers.unknown; workers.event, too
  // large; workers.busy, when too many wait.
  Result<void> send_event(std::string_view worker, std::string_view topic, uint64_t time_ms, const Payload& payload);

  // --- For calls
  [[nodiscard]] isolates::Pool& pool() { return *pool_; }
  // Of requests that ask for a WebSocket.
  [[nodiscard]] isolates::HttpCalls& http_calls() { return *http_calls_; }
  // The node ends: clients of WebSockets are told so.
  void close_sockets();
  [[nodiscard]] runtime::Loop& loop() { return loop_; }
  [[nodiscard]] cache::Proxy& proxy() { return proxy_; }
  [[nodiscard]] CodeOutbound& outbound() { return *outbound_; }
  // Whether a site of this node has the host by name ("*" does not count).
  [[nodiscard]] bool is_site(std::string_view host) const;
  [[nodiscard]] std::shared_ptr<const PlacedWorker> placed(const isolates::Worker& worker) const;
  void count_answer(const PlacedWorker& worker, bool asked_sites, bool asked_others) const;
  void count_fallback(const PlacedWorker& worker) const { worker.counters[index_].fallbacks.add(); }
  void count_unworked() { unworked_.add(); }
  // Calls `task` in a later turn, if its object is still there.
  template <class T, class Task>
  void later(std::weak_ptr<T*> object, Task task) {
    loop_.post([object = std::move(object), task] {
      if (const auto there = object.lock()) task(**there);
    });
  }

  static constexpr size_t kEventsMax = 10'000;                                       // that wait for the end of a turn
  [[nodiscard]] uint64_t event_failures() const { return event_failures_.value(); }  // any thread
  // Requests that were answered with an error of the node, because a worker failed; any thread.
  [[nodiscard]] uint64_t unworked() const { return unworked_.value(); }

 private:
  class Route;
  class Background;
  struct Events;
  void change_consumers();
  void send_events();
  // Of the first loop: calls what is due, and waits for the next.
  void schedule();
  void begin_background(const std::shared_ptr<const PlacedWorker>& worker, const isolates::CallRequest& request);

  runtime::Loop& loop_;
  const size_t index_;
  cache::Proxy& proxy_;
  const Clock& clock_;
  const std::string node_;
  std::unique_ptr<CodeOutbound> outbound_;
  std::unique_ptr<isolates::Pool> pool_;  // null before the first worker
  std::unique_ptr<isolates::HttpCalls> http_calls_;
  std::shared_ptr<const WorkerSet> set_;
  std::shared_ptr<const geo::Locations> locations_;
  std::vector<std::shared_ptr<Route>> routes_;  // by worker of the set
  std::vector<std::unique_ptr<Background>> background_;
  queues::QueueStore* queues_ = nullptr;
  std::vector<std::unique_ptr<QueueConsumer>> consumers_;  // of the first loop
  std::vector<std::unique_ptr<Events>> events_;            // of this turn, by worker
  size_t waiting_events_ = 0;
  runtime::Timer sending_;
  // What is due when; of the first loop.
  struct Due {
    std::shared_ptr<const PlacedWorker> worker;
    std::string cron;
    CronTimes times;
    std::optional<int64_t> at;  // seconds since 1970
  };
  std::vector<Due> due_;
  runtime::Timer scheduling_;
  Counter event_failures_;
  Counter unworked_;
};

}  // namespace verge::node
