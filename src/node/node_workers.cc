// The workers of a running node: those of the configuration, and those deployed by way of the admin listener. One
// change at a time, whoever asks for it.
#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "base/text.h"
#include "net/address.h"
#include "node/node.h"
#include "node/worker_bundle.h"

namespace verge::node {
namespace {

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

std::string_view name_of(cache::CodePosition position) {
  static constexpr std::array<std::string_view, 4> kNames = {"client-answer", "before", "miss", "origin-answer"};
  return kNames.at(static_cast<size_t>(position));
}

// Of two workers with one route at one position the second would never be called.
Result<void> check_routes(const WorkerConfig& fresh, const std::vector<WorkerSpec>& others) {
  for (const std::string& text : fresh.routes) {
    const Result<WorkerRoute> route = parse_worker_route(text);
    if (!route) return std::unexpected(route.error());
    for (const WorkerSpec& other : others) {
      if (other.config.name == fresh.name || other.config.position != fresh.position) continue;
      const bool has_it = std::ranges::any_of(other.config.routes, [&](const std::string& its) {
        const Result<WorkerRoute> parsed = parse_worker_route(its);
        return parsed && *parsed == *route;
      });
      if (!has_it) continue;
      return fail("workers.route-taken", fmt::format("worker {} has the route {} already", other.config.name, text),
                  "change that one, or give another route or position");
    }
  }
  return {};
}

}  // namespace

Config Node::with_worker_sites(const Config& config) const {
  Config with = config;
  for (SiteConfig& site : sites_of_workers(config.sites, all_workers())) with.sites.push_back(std::move(site));
  return with;
}

bool Node::is_configured_worker(std::string_view name) const {
  return std::ranges::any_of(worker_specs_, [&](const WorkerSpec& spec) { return spec.config.name == name; });
}

std::vector<WorkerSpec> Node::all_workers() const {
  std::vector<WorkerSpec> all = worker_specs_;
  for (WorkerSpec& spec : deployed_workers_->specs()) {
    if (!is_configured_worker(spec.config.name)) all.push_back(std::move(spec));
  }
  return all;
}

Result<void> Node::open_workers() {
  std::vector<runtime::Loop*> loops;
  for (size_t i = 0; i < shards_.size(); ++i) {
    loops.push_back(shards_[i].loop.get());
    shards_[i].path->call_with(
        [this, i](std::string_view worker, std::string_view topic, WallTime time, const Payload& payload) {
          const uint64_t time_ms = static_cast<uint64_t>(time.microseconds / 1000);
          const Result<void> sent = workers_->on(i).send_event(worker, topic, time_ms, payload);
          if (!sent) log_debug("workers", "{}", sent.error().line());
          return sent.has_value();
        });
  }
  workers_ = std::make_unique<Workers>(config_, clock_, *sites_, loops, data_directory_.path() + "/workers/compiled",
                                       data_directory_.path(), file_system_);
  // Before the loops run.
  const auto on_loops = [&](const std::function<void(size_t)>& work) {
    for (size_t i = 0; i < loops.size(); ++i) work(i);
  };
  const auto locations = open_locations(config_);
  if (!locations) return std::unexpected(locations.error());
  workers_->locate(*locations, on_loops);
  return workers_->change(all_workers(), on_loops);
}

Result<void> Node::serve_workers() {
  const auto on_loops = [this](const std::function<void(size_t)>& work) {
    on_all_loops([&](Shard& shard) { work(static_cast<size_t>(&shard - shards_.data())); });
  };
  // Names of origins are not resolved for nothing.
  const Config with = with_worker_sites(config_);
  const std::shared_ptr<const cache::SiteSet> set = sites_->set();
  const bool is_same = std::ranges::equal(with.sites, set->sites, {}, &SiteConfig::hosts, &cache::SiteOptions::hosts);
  if (!is_same) {
    if (const Result<void> changed = sites_->reload(with, on_loops); !changed) return changed;
  }
  return workers_->change(all_workers(), on_loops);
}

Result<std::string> Node::deploy_worker(std::string_view bundle) {
  Result<WorkerSpec> spec = read_worker_bundle(bundle);
  if (!spec) return std::unexpected(spec.error());
  const std::lock_guard lock(rules_mutex_);
  const std::string name = spec->config.name;
  if (is_configured_worker(name)) {
    return fail("workers.configured", fmt::format("worker {} is one of the configuration", name),
                "change it there, or deploy under another name");
  }
  if (const Result<void> free = check_routes(spec->config, all_workers()); !free) {
    return std::unexpected(free.error());
  }
  if (const Result<void> known = workers_->check_queues(spec->config); !known) return std::unexpected(known.error());
  const auto on_loops = [this](const std::function<void(size_t)>& work) {
    on_all_loops([&](Shard& shard) { work(static_cast<size_t>(&shard - shards_.data())); });
  };
  const Result<std::vector<Duration>> started = workers_->start(*spec, on_loops);
  if (!started) return std::unexpected(started.error());
  const Result<uint64_t> version = deployed_workers_->add(std::move(*spec), bundle, clock_.wall());
  if (!version) return std::unexpected(version.error());
  if (const Result<void> served = serve_workers(); !served) {
    if (*version == 1) {
      static_cast<void>(deployed_workers_->remove(name));
    } else {
      static_cast<void>(deployed_workers_->roll_back(name, 0));
    }
    static_cast<void>(serve_workers());
    return std::unexpected(served.error());
  }
  log_info("workers", "worker {} was deployed as version {}", name, *version);
  return fmt::format(
      R"({{"id":"{}@{}","name":{},"version":{},"nodes":[{}],"started":{},"of":{},"start_p50_us":{:.1f}}})", name,
      *version, json_string(name), *version, json_string(config_.node.name), started->size(), started->size(),
      microseconds((*started)[started->size() / 2]));
}

Result<std::string> Node::roll_back_worker(std::string_view name, uint64_t version) {
  const std::lock_guard lock(rules_mutex_);
  const Result<uint64_t> now = deployed_workers_->roll_back(name, version);
  if (!now) return std::unexpected(now.error());
  if (const Result<void> served = serve_workers(); !served) return std::unexpected(served.error());
  log_info("workers", "worker {} was rolled back to version {}", name, *now);
  return fmt::format(R"({{"name":{},"version":{}}})", json_string(name), *now);
}

Result<std::string> Node::remove_worker(std::string_view name) {
  const std::lock_guard lock(rules_mutex_);
  if (const Result<void> removed = deployed_workers_->remove(name); !removed) return std::unexpected(removed.error());
  if (const Result<void> served = serve_workers(); !served) return std::unexpected(served.error());
  log_info("workers", "worker {} was removed", name);
  return fmt::format(R"({{"name":{},"removed":true}})", json_string(name));
}

std::string Node::worker_json(const Workers::Totals& totals, const PlacedWorker& worker) const {
  const isolates::WorkerLimits& limits = worker.worker->limits();
  std::vector<std::string> routes, crons, versions;
  for (const WorkerRoute& route : worker.routes) routes.push_back(json_string(text_of(route)));
  for (const std::string& cron : worker.cron) crons.push_back(json_string(cron));
  if (const auto its = deployed_workers_->all().find(totals.name);
      worker.version != 0 && its != deployed_workers_->all().end()) {
    for (const DeployedWorkers::Version& version : its->second.versions) {
      versions.push_back(
          fmt::format(R"({{"number":{},"deployed":"{}"}})", version.number, format_utc({version.time_us})));
    }
  }
  return fmt::format(
      R"({{"name":{},"version":{},"versions":[{}],"routes":[{}],"position":"{}","fallback":"{}","cron":[{}],"compatibility_date":"{}",)"
      R"("calls":{},"errors":{},"limited":{},"fallbacks":{},"cpu_s":{:.6f},"memory_bytes":{},"p50_us":{:.1f},"p99_us":{:.1f},)"
      R"("limits":{{"cpu_ms":{},"wall_ms":{},"memory_bytes":{},"subrequests":{},"answer_bytes":{}}}}})",
      json_string(totals.name), totals.version, fmt::join(versions, ","), fmt::join(routes, ","),
      name_of(worker.position), worker.falls_back ? "origin" : "error", fmt::join(crons, ","),
      worker.worker->code().compatibility_date, totals.calls, totals.errors, totals.limited, totals.fallbacks,
      totals.cpu_seconds, totals.memory_bytes, microseconds(totals.latency.quantile(0.5)),
      microseconds(totals.latency.quantile(0.99)), limits.cpu / std::chrono::milliseconds(1),
      limits.wall / std::chrono::milliseconds(1), limits.memory_bytes, limits.subrequests_max, limits.answer_bytes_max);
}

std::string Node::workers_json(std::string_view only) const {
  const std::lock_guard lock(rules_mutex_);
  const std::shared_ptr<const WorkerSet> set = workers_->set();
  std::vector<std::string> listed;
  for (const Workers::Totals& totals : workers_->totals()) {
    if (!only.empty() && totals.name != only) continue;
    if (const auto worker = set->find(totals.name)) listed.push_back(worker_json(totals, *worker));
  }
  if (!only.empty()) return listed.empty() ? std::string() : listed.front();
  return fmt::format(R"({{"node":{},"workers":[{}]}})", json_string(config_.node.name), fmt::join(listed, ","));
}

std::pair<std::string, uint64_t> Node::worker_console(std::string_view name, uint64_t after, bool with_calls) const {
  const auto [lines, last] = workers_->console(name, after, with_calls);
  std::string out;
  for (const Workers::ConsoleLine& line : lines) {
    fmt::format_to(std::back_inserter(out), R"({{"number":{},"time":"{}","level":"{}")", line.number,
                   format_utc({line.time_us}), line.level);
    if (line.call != 0) fmt::format_to(std::back_inserter(out), R"(,"call":"{:x}")", line.call);
    if (line.level == "call") {
      fmt::format_to(std::back_inserter(out), R"(,"method":{},"url":{},"status":{},"outcome":"{}","ms":{:.3f})",
                     json_string(line.method), json_string(line.url), line.status, line.outcome,
                     microseconds(line.took) / 1000);
      if (!line.error.empty()) fmt::format_to(std::back_inserter(out), R"(,"error":"{}")", line.error);
    } else {
      out.append(R"(,"text":)").append(json_string(line.text));
    }
    out.append("}\n");
  }
  return {std::move(out), last};
}

std::vector<kv::SpaceTotals> Node::kv_spaces() const {
  std::map<std::string, kv::SpaceTotals> spaces;
  for (const std::shared_ptr<const PlacedWorker>& worker : workers_->set()->workers) {
    for (const isolates::WorkerBinding& binding : worker->worker->code().bindings) {
      if (binding.kind != calls::BindingKind::kKeyValue) continue;
      spaces[binding.target] = {.name = binding.target, .bytes_max = workers_->kv_options().bytes_max};
    }
  }
  if (const kv::KeyValueStore* store = kv()) {
    for (const kv::SpaceTotals& space : store->totals()) spaces[space.name] = space;
  }
  std::vector<kv::SpaceTotals> all;
  for (auto& [name, space] : spaces) all.push_back(std::move(space));
  return all;
}

bool Node::has_open_admin_listener() const {
  return std::ranges::any_of(admin_addresses_, [](const std::string& text) {
    const Result<net::Address> address = net::Address::parse(text);
    return !address || !address->is_loopback();
  });
}

}  // namespace verge::node
