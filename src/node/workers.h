// Workers: a node's workers, wired: what loops share, and a LoopWorkers on each.
//
// The zygote, from which isolate processes come, and the thread that resolves names for them are there once there is a
// worker: a node that runs none starts neither, and has no V8.
//
// Threading: change() from one thread at a time that is no loop's; the rest as it says.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "geo/locations.h"
#include "isolates/code_cache_files.h"
#include "isolates/http_outbound.h"
#include "isolates/zygote.h"
#include "kv/rocks_store.h"
#include "node/config.h"
#include "node/loop_workers.h"
#include "node/sites.h"
#include "node/worker_spec.h"
#include "queues/queue_store.h"
#include "runtime/loop.h"
#include "storage/file_system.h"
#include "storage/key_ring.h"

namespace verge::node {

class Workers {
 public:
  // `work` is called with each loop's index on that loop, or before it runs; returns when all is done.
  using OnLoops = std::function<void(const std::function<void(size_t loop)>& work)>;

  // All outlive it, and its loops end before. `directory`: for what V8 compiles. `data_directory`: below it are
  // keys and values, opened with the first worker that has a namespace, and queues, opened with the first that there
  // is.
  Workers(const Config& config, const Clock& clock, Sites& sites, const std::vector<runtime::Loop*>& loops,
          std::string directory, std::string data_directory, storage::FileSystem& file_system);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // These are there from now on, and no others. Those whose code, variables and limits are as they were go on in their
  // isolates. What deployed workers say of queues that there are not, or that others consume, is passed over with a
  // word in the log. Errors: workers.program, those of opening keys and values or queues; then nothing has changed.
  Result<void> change(const std::vector<WorkerSpec>& specs, const OnLoops& on_loops);
  // With the next change() there are these queues. Gives those that there were.
  std::vector<QueueConfig> exchange_queues(std::vector<QueueConfig> queues);
  // Whether a worker that is to be deployed names queues that there are, and consumes none that another one does.
  // Errors: queues.unknown, queues.consumed.
  [[nodiscard]] Result<void> check_queues(const WorkerConfig& worker) const;

  // From now on calls are told where clients are; null: nobody knows.
  void locate(const std::shared_ptr<const geo::Locations>& locations, const OnLoops& on_loops);

  // Starts the worker on each loop, so that its code is known to be good before change() puts it there, and it is warm
  // then: how long each took, rising. Errors: workers.program; that which the worker's start failed with.
  Result<std::vector<Duration>> start(const WorkerSpec& spec, const OnLoops& on_loops);

  // Of the loop with that index, on that loop.
  [[nodiscard]] LoopWorkers& on(size_t loop) { return *loops_workers_[loop]; }

  // Any thread.
  [[nodiscard]] std::shared_ptr<const WorkerSet> set() const;

  struct Totals {
    std::string name;
    uint64_t version = 0;
    uint64_t calls = 0, errors = 0, limited = 0, subrequests = 0, loads = 0, memory_bytes = 0, fallbacks = 0;
    double cpu_seconds = 0;
    uint64_t computed = 0, delegated = 0;
    Histogram::Snapshot latency;
  };
  // By worker, any thread.
  [[nodiscard]] std::vector<Totals> totals() const;
  [[nodiscard]] uint64_t event_failures() const;  // any thread
  // Requests that were answered with an error of the node because a worker failed, of all that were ever there. Any
  // thread.
  [[nodiscard]] uint64_t unworked() const;
  // Null before the first queue. Any thread.
  [[nodiscard]] queues::QueueStore* queues() const { return queues_in_use_.load(std::memory_order_acquire); }
  [[nodiscard]] const KvConfig& kv_options() const { return kv_options_; }
  // Null before the first namespace. Any thread.
  [[nodiscard]] kv::RocksStore* kv() const { return kv_in_use_.load(std::memory_order_acquire); }

  // What a worker said on its console, of late.
  struct ConsoleLine {
    uint64_t number = 0;     // rises by one for each line of all workers
    int64_t time_us = 0;     // since 1970
    std::string_view level;  // or "call": that one is over, and then the next but `text` say how
    std::string text;
    uint64_t call = 0;  // its number; 0: of none
    std::string method;
    std::string url;  // without the query, which may be a secret
    uint32_t status = 0;
    std::string_view outcome;  // "ok", "error", "canceled"
    std::string_view error;    // the code
    Duration took{};
  };
  static constexpr size_t kConsoleLinesMax = 1000;  // of all workers, each cut at 4 KiB
  // The lines of that worker after the one with that number, and the number of the last line of all. `with_calls`:
  // calls that are over, too; they are noted for a while after they were asked for. Any thread.
  [[nodiscard]] std::pair<std::vector<ConsoleLine>, uint64_t> console(std::string_view worker, uint64_t after,
                                                                      bool with_calls);

 private:
  Result<void> open(const OnLoops& on_loops);
  Result<void> open_kv(const OnLoops& on_loops);
  Result<void> open_queues(const OnLoops& on_loops);
  void consume(WorkerSet& set, const WorkerConfig& config, const std::shared_ptr<const PlacedWorker>& worker) const;
  [[nodiscard]] std::shared_ptr<const PlacedWorker> place(const WorkerSpec& spec, const WorkerSet& former) const;
  void take_line(const isolates::ConsoleLine& line);
  void take_call(const isolates::EndedCall& call);
  void keep_line(std::string_view worker, ConsoleLine line);

  const WorkersConfig limits_;
  const std::string directory_;
  const KvConfig kv_options_;
  std::vector<QueueConfig> queue_configs_;
  const std::string data_directory_;
  storage::FileSystem& file_system_;
  const storage::KeyRing no_keys_;
  std::vector<runtime::Loop*> loops_;
  std::unique_ptr<kv::RocksStore> kv_;  // outlives the calls of the loops
  std::atomic<kv::RocksStore*> kv_in_use_ = nullptr;
  std::unique_ptr<queues::QueueStore> queues_;  // likewise
  std::atomic<queues::QueueStore*> queues_in_use_ = nullptr;
  std::unique_ptr<isolates::Zygote> zygote_;
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<isolates::CodeCacheFiles> code_cache_;
  mutable std::mutex mutex_;
  std::shared_ptr<const WorkerSet> set_ = std::make_shared<const WorkerSet>();  // under the mutex
  std::shared_ptr<const PlacedWorker> started_;                                 // last, by start()
  const Clock& clock_;
  mutable std::mutex console_mutex_;                       // guards what follows
  std::deque<std::pair<std::string, ConsoleLine>> lines_;  // by worker
  uint64_t last_line_ = 0;
  MonotonicTime calls_wanted_until_{};
  std::atomic<bool> wants_calls_ = false;
  std::vector<std::unique_ptr<LoopWorkers>> loops_workers_;
};

// Of workers.geo_file; null where there is none. Error: geo.file.
Result<std::shared_ptr<const geo::Locations>> open_locations(const Config& config);

// Hosts that routes of workers name and no site stands for: each is a site of its own, without an origin.
std::vector<SiteConfig> sites_of_workers(const std::vector<SiteConfig>& sites, const std::vector<WorkerSpec>& workers);

}  // namespace verge::node
