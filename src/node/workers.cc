#include "node/workers.h"

#include <algorithm>
#include <array>
#include <future>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "node/queue_names.h"

namespace verge::node {
namespace {

isolates::WorkerLimits limits_of(const WorkerConfig& config) {
  isolates::WorkerLimits limits;
  limits.cpu = config.cpu;
  limits.wall = config.wall;
  limits.memory_bytes = config.memory;
  limits.subrequests_max = config.subrequests;
  limits.answer_bytes_max = config.answer_bytes_max;
  return limits;
}

bool is_same_code(const isolates::WorkerCode& a, const isolates::WorkerCode& b) {
  const auto limits = [](const isolates::WorkerLimits& its) {
    return std::tie(its.cpu, its.wall, its.memory_bytes, its.subrequests_max, its.answer_bytes_max);
  };
  return a.owner == b.owner && a.compatibility_date == b.compatibility_date && a.variables == b.variables &&
         a.bindings == b.bindings && a.connect == b.connect && limits(a.limits) == limits(b.limits) &&
         std::ranges::equal(a.modules, b.modules,
                            [](const isolates::ModuleSource& one, const isolates::ModuleSource& other) {
                              return one.name == other.name && one.type == other.type && one.source == other.source;
                            });
}

}  // namespace

Workers::Workers(const Config& config, const Clock& clock, Sites& sites, const std::vector<runtime::Loop*>& loops,
                 std::string directory, std::string data_directory, storage::FileSystem& file_system)
    : limits_(config.workers_limits),
      directory_(std::move(directory)),
      kv_options_(config.kv),
      queue_configs_(config.queues),
      data_directory_(std::move(data_directory)),
      file_system_(file_system),
      loops_(loops),
      clock_(clock) {
  for (size_t i = 0; i < loops_.size(); ++i) {
    loops_workers_.push_back(std::make_unique<LoopWorkers>(*loops_[i], i, sites.proxy(i), clock, config.node.name));
  }
}

Workers::~Workers() = default;

std::shared_ptr<const PlacedWorker> Workers::place(const WorkerSpec& spec, const WorkerSet& former) const {
  const WorkerConfig& config = spec.config;
  isolates::WorkerCode code{.name = config.name,
                            .owner = config.tenant.empty() ? "worker " + config.name : "tenant " + config.tenant,
                            .kind = calls::ProgramKind::kWorker,
                            .modules = spec.modules,
                            .variables = spec.variables,
                            .limits = limits_of(config),
                            .compatibility_date = config.compatibility_date};
  for (const auto& [name, space] : config.kv) {
    code.bindings.push_back({.name = name, .kind = calls::BindingKind::kKeyValue, .target = space});
  }
  for (const std::string& text : config.connect) {
    // As routes below.
    if (const Result<isolates::ConnectRule> rule = isolates::parse_connect_rule(text)) code.connect.push_back(*rule);
  }
  for (const auto& [name, queue] : config.queues) {
    code.bindings.push_back({.name = name, .kind = calls::BindingKind::kQueue, .target = queue});
  }
  std::shared_ptr<const PlacedWorker> before = former.find(config.name);
  std::shared_ptr<isolates::Worker> worker;  // shared with the calls that are under way
  if (before && is_same_code(before->worker->code(), code)) worker = before->worker;
  const bool is_started = !worker && started_ && started_->name() == config.name;
  if (is_started && is_same_code(started_->worker->code(), code)) worker = started_->worker;
  if (!worker) {
    worker = std::make_shared<isolates::Worker>(std::move(code), loops_.size());
    const std::string compiled = code_cache_ ? code_cache_->find(worker->code()) : std::string();
    if (!compiled.empty()) worker->keep_code_cache(compiled);
  }
  std::vector<WorkerRoute> routes;
  for (const std::string& text : config.routes) {
    // Reading the configuration, or the deploy, saw to it.
    if (const Result<WorkerRoute> route = parse_worker_route(text)) routes.push_back(*route);
  }
  const bool is_as_before = before && before->worker == worker && before->version == spec.version &&
                            before->routes == routes && before->position == config.position &&
                            before->falls_back == config.falls_back && before->cron == config.cron &&
                            before->reaches_private == config.private_addresses;
  if (is_as_before) return before;
  auto placed = std::make_shared<PlacedWorker>(std::move(worker), loops_.size());
  placed->id = std::max<uint64_t>(1, hash64(config.name));
  placed->version = spec.version;
  placed->routes = std::move(routes);
  placed->position = config.position;
  placed->falls_back = config.falls_back;
  placed->reaches_private = config.private_addresses;
  placed->cron = config.cron;
  return placed;
}

Result<void> Workers::open(const OnLoops& on_loops) {
  if (zygote_) return {};
  const Result<std::string> program = isolates::find_isolate_program();
  if (!program) return std::unexpected(program.error());
  Result<std::unique_ptr<isolates::CodeCacheFiles>> code_cache = isolates::CodeCacheFiles::open(directory_);
  if (!code_cache) return std::unexpected(code_cache.error());
  code_cache_ = std::move(*code_cache);
  zygote_ = std::make_unique<isolates::Zygote>(*program);
  resolver_ = std::make_unique<net::Resolver>("resolver-work");
  on_loops([&](size_t loop) {
    const isolates::PoolOptions options{.loop = loop,
                                        .processes_max = limits_.processes_max,
                                        .idle_max = limits_.idle_max,
                                        .code_cache_files = code_cache_.get()};
    loops_workers_[loop]->open(*zygote_, *resolver_, options,
                               [this](const isolates::ConsoleLine& line) { take_line(line); });
    loops_workers_[loop]->pool().observe_calls([this](const isolates::EndedCall& call) { take_call(call); },
                                               wants_calls_);
  });
  return {};
}

Result<void> Workers::open_kv(const OnLoops& on_loops) {
  if (!kv_) {
    Result<std::unique_ptr<kv::RocksStore>> opened = kv::RocksStore::open(
        data_directory_ + "/kv", clock_, {.bytes_max = kv_options_.bytes_max, .memory_bytes = kv_options_.memory});
    if (!opened) return std::unexpected(opened.error());
    kv_ = std::move(*opened);
    kv_->observe_writes([counts = zygote_->write_counts()](std::string_view space) { counts->add(space); });
    kv_in_use_.store(kv_.get(), std::memory_order_release);
  }
  on_loops(
      [&](size_t loop) { loops_workers_[loop]->outbound().bindings().use(kv_.get(), zygote_->write_counts().get()); });
  return {};
}

void Workers::locate(const std::shared_ptr<const geo::Locations>& locations, const OnLoops& on_loops) {
  on_loops([&](size_t loop) { loops_workers_[loop]->locate(locations); });
}

// --- Queues

std::vector<QueueConfig> Workers::exchange_queues(std::vector<QueueConfig> queues) {
  return std::exchange(queue_configs_, std::move(queues));
}

Result<void> Workers::check_queues(const WorkerConfig& worker) const {
  const auto is_there = [&](const std::string& queue) {
    return std::ranges::find(queue_configs_, queue, &QueueConfig::name) != queue_configs_.end();
  };
  for (const auto& [name, queue] : worker.queues) {
    if (!is_there(queue)) return std::unexpected(unknown_queue(queue, queue_configs_));
  }
  const std::shared_ptr<const WorkerSet> now = set();
  for (const std::string& queue : worker.consumes) {
    if (!is_there(queue)) return std::unexpected(unknown_queue(queue, queue_configs_));
    const auto other = std::ranges::find_if(now->consumed, [&](const ConsumedQueue& consumed) {
      return consumed.queue == queue && consumed.worker->name() != worker.name;
    });
    if (other == now->consumed.end()) continue;
    return fail("queues.consumed", fmt::format("queue {} is consumed by {} already", queue, other->worker->name()),
                "leave it to one worker");
  }
  return {};
}

Result<void> Workers::open_queues(const OnLoops& on_loops) {
  if (!queues_ && !queue_configs_.empty()) {
    Result<std::unique_ptr<queues::QueueStore>> opened =
        queues::QueueStore::open(file_system_, data_directory_ + "/queues", no_keys_, clock_);
    if (!opened) return std::unexpected(opened.error());
    queues_ = std::move(*opened);
    // One loop consumes: it knows of all batches that are under way.
    queues_->when_arrived([this](const std::string& queue) {
      loops_[0]->post([this, queue] { loops_workers_[0]->look_at_queue(queue); });
    });
    on_loops([&](size_t loop) { loops_workers_[loop]->use(*queues_); });
    queues_in_use_.store(queues_.get(), std::memory_order_release);
  }
  if (!queues_) return {};
  std::map<std::string, queues::QueueOptions, std::less<>> options;
  for (const QueueConfig& config : queue_configs_) {
    options[config.name] = {.bytes_max = config.bytes_max,
                            .retries_max = static_cast<uint32_t>(config.max_retries),
                            .retry_delay = config.retry_delay,
                            .dead_letters = config.dead_letter_queue};
  }
  queues_->configure(std::move(options));
  return {};
}

void Workers::consume(WorkerSet& set, const WorkerConfig& config,
                      const std::shared_ptr<const PlacedWorker>& worker) const {
  for (const std::string& queue : config.consumes) {
    const auto its = std::ranges::find(queue_configs_, queue, &QueueConfig::name);
    if (its == queue_configs_.end()) {
      log_error("queues", "worker {}: {}", config.name, unknown_queue(queue, queue_configs_).line());
      continue;
    }
    if (const auto other = std::ranges::find(set.consumed, queue, &ConsumedQueue::queue); other != set.consumed.end()) {
      log_error("queues", "worker {} gets nothing of queue {}, which {} consumes", config.name, queue,
                other->worker->name());
      continue;
    }
    set.consumed.push_back({.queue = queue,
                            .worker = worker->worker,
                            .batch_max = its->max_batch_size,
                            .batch_timeout = its->max_batch_timeout,
                            .concurrency = its->max_concurrency});
  }
}

Result<std::vector<Duration>> Workers::start(const WorkerSpec& spec, const OnLoops& on_loops) {
  // Long enough for a machine that has much else to do: the start has a limit of processor time.
  constexpr Duration kPatience = std::chrono::seconds(20);
  if (const Result<void> opened = open(on_loops); !opened) return std::unexpected(opened.error());
  started_ = place(spec, *set());
  // Shared: who is late finds it still there.
  const auto started = std::make_shared<std::vector<std::promise<Result<Duration>>>>(loops_.size());
  for (size_t i = 0; i < loops_.size(); ++i) {
    loops_[i]->post([this, i, started, worker = started_->worker] {
      loops_workers_[i]->start(worker,
                               [started, i](Result<Duration> took) { (*started)[i].set_value(std::move(took)); });
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::vector<Duration> took;
  for (std::promise<Result<Duration>>& one : *started) {
    std::future<Result<Duration>> future = one.get_future();
    if (future.wait_until(deadline) != std::future_status::ready) {
      return fail("workers.start", fmt::format("worker {} did not start in time", spec.config.name),
                  "see the load of the machine");
    }
    Result<Duration> its = future.get();
    if (!its) return std::unexpected(its.error());
    took.push_back(*its);
  }
  std::ranges::sort(took);
  return took;
}

Result<void> Workers::change(const std::vector<WorkerSpec>& specs, const OnLoops& on_loops) {
  if (!specs.empty()) {
    if (const Result<void> opened = open(on_loops); !opened) return opened;
  }
  const bool has_space = std::ranges::any_of(specs, [](const WorkerSpec& spec) { return !spec.config.kv.empty(); });
  if (const Result<void> opened = open_queues(on_loops); !opened) return opened;
  if (has_space && !kv_) {
    if (const Result<void> opened = open_kv(on_loops); !opened) return opened;
  }
  const std::shared_ptr<const WorkerSet> former = set();
  auto made = std::make_shared<WorkerSet>();
  for (const WorkerSpec& spec : specs) {
    std::shared_ptr<const PlacedWorker> placed = place(spec, *former);
    for (const WorkerRoute& route : placed->routes) {
      made->routes.add(route, placed->position, made->workers.size());
    }
    consume(*made, spec.config, placed);
    made->workers.push_back(std::move(placed));
  }
  const std::shared_ptr<const WorkerSet> fresh = std::move(made);
  on_loops([&](size_t loop) { loops_workers_[loop]->change(fresh); });
  started_ = nullptr;
  const std::lock_guard lock(mutex_);
  set_ = fresh;
  return {};
}

std::shared_ptr<const WorkerSet> Workers::set() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

std::vector<Workers::Totals> Workers::totals() const {
  std::vector<Totals> all;
  const std::shared_ptr<const WorkerSet> set = this->set();
  for (const std::shared_ptr<const PlacedWorker>& worker : set->workers) {
    Totals& totals = all.emplace_back();
    totals.name = worker->name();
    totals.version = worker->version;
    uint64_t cpu_us = 0;
    for (const isolates::WorkerCounters& counters : worker->worker->counters()) {
      totals.calls += counters.calls.value();
      totals.errors += counters.errors.value();
      totals.limited += counters.limited.value();
      totals.subrequests += counters.subrequests.value();
      totals.loads += counters.loads.value();
      totals.memory_bytes += counters.memory_bytes.value();
      cpu_us += counters.cpu_us.value();
      totals.latency.add(counters.latency);
    }
    totals.cpu_seconds = static_cast<double>(cpu_us) / 1e6;
    for (const PlacedCounters& counters : worker->counters) {
      totals.computed += counters.computed.value();
      totals.delegated += counters.delegated.value();
      totals.fallbacks += counters.fallbacks.value();
    }
  }
  return all;
}

void Workers::take_line(const isolates::ConsoleLine& line) {
  static constexpr std::array<std::string_view, 5> kLevels = {"debug", "log", "info", "warn", "error"};
  constexpr size_t kLineBytesMax = 4096;
  const std::string_view level = kLevels.at(static_cast<size_t>(line.level));
  log_debug("workers", "{} says: {}", line.worker.name(), line.text.substr(0, kLineBytesMax));
  keep_line(line.worker.name(),
            {.level = level, .text = std::string(line.text.substr(0, kLineBytesMax)), .call = line.call});
}

void Workers::take_call(const isolates::EndedCall& call) {
  constexpr size_t kUrlBytesMax = 1024;
  if (call.kind != calls::CallKind::kFetch) return;
  ConsoleLine line{.level = "call", .call = call.call};
  line.method = call.method;
  line.url = call.url.substr(0, std::min(call.url.find('?'), kUrlBytesMax));
  line.status = call.status;
  line.outcome = !call.error.empty() ? "error" : call.is_cancelled || call.status == 0 ? "canceled" : "ok";
  line.error = call.error;
  line.took = call.took;
  keep_line(call.worker.name(), std::move(line));
}

void Workers::keep_line(std::string_view worker, ConsoleLine line) {
  const std::lock_guard lock(console_mutex_);
  if (line.level == "call" && clock_.monotonic() > calls_wanted_until_) wants_calls_ = false;
  line.number = ++last_line_;
  line.time_us = clock_.wall().microseconds;
  lines_.emplace_back(worker, std::move(line));
  if (lines_.size() > kConsoleLinesMax) lines_.pop_front();
}

std::pair<std::vector<Workers::ConsoleLine>, uint64_t> Workers::console(std::string_view worker, uint64_t after,
                                                                        bool with_calls) {
  constexpr Duration kWantedFor = std::chrono::seconds(10);
  const std::lock_guard lock(console_mutex_);
  if (with_calls) {
    calls_wanted_until_ = clock_.monotonic() + kWantedFor;
    wants_calls_ = true;
  }
  std::vector<ConsoleLine> lines;
  for (const auto& [name, line] : lines_) {
    if (name == worker && line.number > after && (with_calls || line.level != "call")) lines.push_back(line);
  }
  return {std::move(lines), last_line_};
}

uint64_t Workers::event_failures() const {
  uint64_t sum = 0;
  for (const std::unique_ptr<LoopWorkers>& loop : loops_workers_) sum += loop->event_failures();
  return sum;
}

uint64_t Workers::unworked() const {
  uint64_t sum = 0;
  for (const std::unique_ptr<LoopWorkers>& loop : loops_workers_) sum += loop->unworked();
  return sum;
}

Result<std::shared_ptr<const geo::Locations>> open_locations(const Config& config) {
  if (config.workers_limits.geo_file.empty()) return std::shared_ptr<const geo::Locations>();
  return geo::Locations::open(config.workers_limits.geo_file);
}

std::vector<SiteConfig> sites_of_workers(const std::vector<SiteConfig>& sites, const std::vector<WorkerSpec>& workers) {
  std::unordered_set<std::string> known;
  for (const SiteConfig& site : sites) known.insert(site.hosts.begin(), site.hosts.end());
  const auto has_site = [&](const std::string& host) {
    if (known.contains(host) || known.contains("*")) return true;
    // Of a wide host what is wider, of any other what covers it.
    for (size_t dot = host.find('.', host.starts_with("*.") ? 2 : 0); dot != std::string::npos;
         dot = host.find('.', dot + 1)) {
      if (known.contains("*" + host.substr(dot))) return true;
    }
    return false;
  };
  std::vector<SiteConfig> made;
  for (const WorkerSpec& worker : workers) {
    for (const std::string& text : worker.config.routes) {
      const Result<WorkerRoute> route = parse_worker_route(text);
      if (!route || route->host == "*" || has_site(route->host)) continue;
      known.insert(route->host);
      SiteConfig& site = made.emplace_back();
      site.hosts = {route->host};
    }
  }
  return made;
}

}  // namespace verge::node
