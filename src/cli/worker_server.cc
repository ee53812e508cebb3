#include "cli/worker_server.h"

#include <csignal>
#include <cstdio>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>
#include <sched.h>

#include "base/clock.h"
#include "cli/ready_file.h"
#include "geo/locations.h"
#include "isolates/code_cache_files.h"
#include "isolates/failures.h"
#include "isolates/http_calls.h"
#include "isolates/http_outbound.h"
#include "isolates/inspector_server.h"
#include "kv/memory_store.h"
#include "kv/rocks_store.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/websocket_messages.h"
#include "node/binding_calls.h"

namespace verge::cli {
namespace {

constexpr Duration kLookForChanges = std::chrono::milliseconds(200);
constexpr size_t kTriedOutMax = 16;

// The workers that are served, as one loop sees them.
struct Routes {
  std::unordered_map<std::string_view, std::shared_ptr<isolates::Worker>> by_name;  // names are the workers' own
  std::shared_ptr<isolates::Worker> only;

  explicit Routes(const std::vector<std::shared_ptr<isolates::Worker>>& workers) {
    if (workers.size() == 1) only = workers.front();
    for (const std::shared_ptr<isolates::Worker>& worker : workers) by_name.emplace(worker->name(), worker);
  }

  [[nodiscard]] std::shared_ptr<isolates::Worker> find(std::string_view path) const {
    if (only) return only;
    const std::string_view name = path.substr(1, path.find('/', 1) - 1);
    const auto found = by_name.find(path.empty() ? path : name);
    return found == by_name.end() ? nullptr : found->second;
  }
};

void print_line(const isolates::ConsoleLine& line) {
  static constexpr std::array kLevels = {"debug", "log", "info", "warn", "error"};
  fmt::print(stderr, "{} {}: {}\n", line.worker.name(), kLevels[static_cast<size_t>(line.level)], line.text);
}

// One event loop with all that it owns.
class ServingLoop {
 public:
  ServingLoop(size_t index, isolates::Zygote& zygote, net::Resolver& resolver, net::Socket listening,
              const Routes& routes, bool prints_console, isolates::CodeCacheFiles* code_cache,
              const std::shared_ptr<const geo::Locations>& locations, const Clock& clock, kv::KeyValueStore& store)
      : loop_(fmt::format("loop-{}", index)),
        http_(loop_, resolver, {.allows_private = true, .allowed = {}}),
        outbound_(loop_, clock, http_),
        pool_(loop_, zygote, outbound_, {.loop = index, .code_cache_files = code_cache}),
        calls_(pool_, locations ? isolates::HttpCalls::PlaceOf(
                                      [locations](const net::Address& client) { return locations->find(client.ip()); })
                                : nullptr),
        routes_(routes),
        server_(loop_, {.body_bytes_max = 100U << 20, .connections_max = 100'000},
                [this](const net::HttpRequest& request, net::HttpResponder responder) {
                  receive(request, std::move(responder));
                }),
        listener_(loop_, std::move(listening), [this](net::Socket socket) { server_.accept(std::move(socket)); }),
        ending_(loop_) {
    if (prints_console) pool_.observe_console(print_line);
    outbound_.bindings().use(&store, zygote.write_counts().get());
    pool_.warm_up();
  }

  // Before start().
  void open_inspector(net::Socket listening, std::string address) {
    inspector_ =
        std::make_unique<isolates::InspectorServer>(loop_, pool_, std::move(listening), std::move(address), [this] {
          std::vector<std::shared_ptr<isolates::Worker>> workers;
          for (const auto& [name, worker] : routes_.by_name) workers.push_back(worker);
          return workers;
        });
  }
  void start() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void stop() {
    loop_.post([this] {
      calls_.close_sockets(net::websocket::kGoingAway, "the server ends");
      ending_.after(std::chrono::milliseconds(1), [this] { loop_.stop(); });  // what was written is sent first
    });
    thread_.join();
  }
  void change(const Routes& routes) {
    loop_.post([this, routes] { routes_ = routes; });
  }
  // Starts the workers before they are called, and prints why one cannot be. Where they are many, each is started by
  // its first call.
  void try_out() {
    if (routes_.by_name.size() > kTriedOutMax) return;
    loop_.post([this] {
      for (const auto& [name, worker] : routes_.by_name) {
        pool_.load(worker, [](const std::optional<Error>& error) {
          if (error) fmt::print(stderr, "{}\n", isolates::owner_text(*error));
        });
      }
    });
  }

 private:
  void receive(const net::HttpRequest& request, net::HttpResponder responder) {
    const std::shared_ptr<isolates::Worker> worker = routes_.find(request.path);
    if (!worker) {
      responder.respond(
          {.status = 404, .content_type = "text/plain", .fields = {}, .body = "no worker has this path\n"});
      return;
    }
    calls_.answer(worker, request, std::move(responder));
  }

  runtime::Loop loop_;
  isolates::HttpOutbound http_;
  node::BindingOutbound outbound_;
  isolates::Pool pool_;
  isolates::HttpCalls calls_;
  Routes routes_;
  std::unique_ptr<isolates::InspectorServer> inspector_;
  net::HttpServer server_;
  net::TcpListener listener_;
  runtime::Timer ending_;
  std::thread thread_;
};

std::vector<std::shared_ptr<isolates::Worker>> make_workers(std::vector<isolates::WorkerCode> codes, size_t loops,
                                                            isolates::CodeCacheFiles* code_cache) {
  std::vector<std::shared_ptr<isolates::Worker>> workers;  // shared: loops and calls under way hold them
  for (isolates::WorkerCode& code : codes) {
    workers.push_back(std::make_shared<isolates::Worker>(std::move(code), loops));
    if (code_cache == nullptr) continue;
    const std::string compiled = code_cache->find(workers.back()->code());
    if (!compiled.empty()) workers.back()->keep_code_cache(compiled);
  }
  return workers;
}

// On the disk where a directory is named.
Result<std::unique_ptr<kv::KeyValueStore>> open_store(const std::string& directory, const Clock& clock) {
  if (directory.empty()) return std::make_unique<kv::MemoryStore>(clock);
  auto opened = kv::RocksStore::open(directory, clock, {});
  if (!opened) return std::unexpected(opened.error());
  return std::move(*opened);
}

// A loop for each core that this process may use.
size_t usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? static_cast<size_t>(CPU_COUNT(&cores)) : 1;
}

// Until the process is told to end; asks `changed` meanwhile.
void wait_for_end(const sigset_t& signals, const std::function<void()>& look) {
  const auto seconds = std::chrono::duration_cast<std::chrono::nanoseconds>(kLookForChanges);
  const timespec pause{.tv_sec = 0, .tv_nsec = seconds.count()};
  while ((look ? sigtimedwait(&signals, nullptr, &pause) : sigwaitinfo(&signals, nullptr)) < 0) {
    if (look) look();
  }
}

}  // namespace

Result<void> WorkerServer::serve(std::vector<isolates::WorkerCode> workers, const Options& options) {
  return serve(std::move(workers), options, {});
}

Result<void> WorkerServer::serve(std::vector<isolates::WorkerCode> workers, const Options& options,
                                 const Changed& changed) {
  if (const Result<void> checked = prepare_ready_file(options.ready_file); !checked) return checked;
  const Result<std::string> program = isolates::find_isolate_program();
  if (!program) return std::unexpected(program.error());
  const Result<net::Address> address = net::Address::resolve(options.listen);
  if (!address) return std::unexpected(address.error());
  const bool is_inspected = !options.inspect.empty();
  // DevTools look at one isolate.
  const size_t loops = is_inspected ? 1 : usable_cores();
  Result<std::vector<net::Socket>> listening = net::listen_on_loops(*address, loops);
  if (!listening) return std::unexpected(listening.error());
  net::Socket inspector;
  std::string inspector_address;
  if (is_inspected) {
    const Result<net::Address> its = net::Address::resolve(options.inspect);
    if (!its) return std::unexpected(its.error());
    if (!its->is_loopback()) {
      return fail("cli.inspect", "the inspector gives everything away, and listens on loopback only",
                  "name an address such as 127.0.0.1:9229; reach it from elsewhere by SSH");
    }
    Result<std::vector<net::Socket>> opened = net::listen_on_loops(*its, 1);
    if (!opened) return std::unexpected(opened.error());
    inspector = std::move(opened->front());
    inspector_address = net::Address::local_of(inspector.descriptor()).text();
  }
  const std::string bound = net::Address::local_of(listening->front().descriptor()).text();

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  isolates::Zygote zygote(*program, is_inspected);
  auto resolver = std::make_unique<net::Resolver>("resolver");
  std::unique_ptr<isolates::CodeCacheFiles> code_cache;
  if (!options.code_cache.empty()) {
    auto opened = isolates::CodeCacheFiles::open(options.code_cache);
    if (!opened) return std::unexpected(opened.error());
    code_cache = std::move(*opened);
  }
  const SystemClock clock;
  Result<std::unique_ptr<kv::KeyValueStore>> store = open_store(options.kv_directory, clock);
  if (!store) return std::unexpected(store.error());
  (*store)->observe_writes([counts = zygote.write_counts()](std::string_view space) { counts->add(space); });
  std::shared_ptr<const geo::Locations> locations;
  if (!options.geo_file.empty()) {
    auto opened = geo::Locations::open(options.geo_file);
    if (!opened) return std::unexpected(opened.error());
    locations = std::move(*opened);
  }
  const Routes routes(make_workers(std::move(workers), loops, code_cache.get()));
  std::vector<std::unique_ptr<ServingLoop>> serving;
  for (size_t i = 0; i < loops; ++i) {
    serving.push_back(std::make_unique<ServingLoop>(i, zygote, *resolver, std::move((*listening)[i]), routes,
                                                    options.prints_console, code_cache.get(), locations, clock,
                                                    **store));
  }
  if (is_inspected) serving.front()->open_inspector(std::move(inspector), inspector_address);
  for (const std::unique_ptr<ServingLoop>& one : serving) one->start();
  const Result<void> written = write_ready_file(
      options.ready_file, fmt::format("{{\"http\":[\"{}\"]{}}}", bound,
                                      is_inspected ? fmt::format(",\"inspector\":\"{}\"", inspector_address) : ""));
  fmt::print(stderr, "serving on http://{}\n", bound);
  if (is_inspected) fmt::print(stderr, "DevTools: chrome://inspect, with {}\n", inspector_address);
  serving.front()->try_out();
  std::function<void()> look;
  if (changed) {
    look = [&] {
      std::optional<std::vector<isolates::WorkerCode>> fresh = changed();
      if (!fresh) return;
      const Routes next(make_workers(std::move(*fresh), loops, code_cache.get()));
      for (const std::unique_ptr<ServingLoop>& one : serving) one->change(next);
      serving.front()->try_out();
    };
  }
  if (written) wait_for_end(signals, look);
  for (const std::unique_ptr<ServingLoop>& one : serving) one->stop();
  resolver.reset();  // it calls loops
  store->reset();    // what it answers goes to the loops
  return written;
}

}  // namespace verge::cli
