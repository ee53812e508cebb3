#include "node/sites.h"

#include <simdjson.h>

#include "base/random.h"

namespace verge::node {
namespace {

std::optional<cache::Seconds> seconds(const std::optional<Duration>& duration) {
  if (!duration) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
}

cache::SiteOptions options_of(const SiteConfig& site) {
  cache::SiteOptions options;
  options.hosts = site.hosts;
  for (const OriginConfig& origin : site.origins)
    options.origins.push_back({.url = origin.url, .weight = origin.weight});
  options.storage = {.default_ttl = seconds(site.default_ttl),
                     .override_ttl = seconds(site.override_ttl),
                     .stale_while_revalidate = seconds(site.stale_while_revalidate),
                     .stale_if_error = seconds(site.stale_if_error),
                     .heuristic_percent = static_cast<uint32_t>(site.heuristic_percent),
                     .request_directives = site.request_directives};
  options.object_bytes_max = site.object_bytes_max;
  options.sends_client_host = site.sends_client_host;
  options.connect_timeout = site.connect_timeout;
  options.answer_timeout = site.answer_timeout;
  options.idle_timeout = site.idle_timeout;
  options.connections_max = site.connections_max;
  options.failures_max = site.failures_max;
  options.failure_pause = site.failure_pause;
  return options;
}

std::vector<cache::SiteOptions> options_of(const std::vector<SiteConfig>& sites, uint64_t descriptors_max) {
  std::vector<cache::SiteOptions> options;
  options.reserve(sites.size());
  for (const SiteConfig& site : sites) {
    options.push_back(options_of(site));
    options.back().descriptors_max = descriptors_max;
  }
  return options;
}

std::unexpected<Error> bad_purge(std::string what) {
  return fail(
      "cache.purge", std::move(what),
      R"(send {"tags":[…]}, {"urls":[…]}, {"prefixes":[…]}, {"hosts":[…]} or {"all":true}, with "soft":true to )"
      "serve stale answers meanwhile");
}

}  // namespace

Sites::Sites(const Config& config, const Clock& clock, uint64_t descriptors_max)
    : clock_(clock),
      options_(options_of(config.sites, descriptors_max)),
      table_(options_),
      store_({.bytes_max = config.cache.memory_bytes_max}, purges_, system_seed()) {}

Result<std::unique_ptr<Sites>> Sites::open(const Config& config, const Clock& clock, storage::FileSystem& file_system,
                                           const std::string& directory, const std::vector<runtime::Loop*>& loops,
                                           uint64_t descriptors_max) {
  auto sites = std::unique_ptr<Sites>(new Sites(config, clock, descriptors_max));
  if (const uint64_t bytes_max = config.cache.disk_bytes_max; bytes_max > 0) {
    Result<std::unique_ptr<cache::DiskTier>> disk =
        cache::DiskTier::open(file_system, directory, {.log = {.bytes_max = bytes_max}}, sites->store_, sites->purges_);
    if (!disk) return std::unexpected(disk.error());
    sites->disk_ = std::move(*disk);
  }
  const cache::Shared shared{.store = sites->store_,
                             .purges = sites->purges_,
                             .pending = sites->pending_,
                             .clock = clock,
                             .disk = sites->disk_.get()};
  for (runtime::Loop* loop : loops) {
    std::vector<std::unique_ptr<cache::Origins>> origins;
    for (const cache::SiteOptions& options : sites->options_) {
      Result<std::unique_ptr<cache::Origins>> opened = cache::Origins::open(*loop, options);
      if (!opened) return std::unexpected(opened.error());
      origins.push_back(std::move(*opened));
    }
    sites->proxies_.push_back(std::make_unique<cache::Proxy>(*loop, shared, sites->options_, sites->table_,
                                                             std::move(origins), config.node.name));
  }
  return sites;
}

Result<size_t> Sites::purge(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object wanted;
  if (parser.parse(simdjson::padded_string(json)).get(wanted) != simdjson::SUCCESS) {
    return bad_purge("a purge is a JSON object");
  }
  bool softly = false, all = false;
  struct Purge {
    std::string_view kind, text;
  };
  std::vector<Purge> purges;
  for (const auto& [key, value] : wanted) {
    if (key == "soft" || key == "all") {
      if (value.get(key == "soft" ? softly : all) != simdjson::SUCCESS) {
        return bad_purge(fmt::format("\"{}\" is true or false", key));
      }
      continue;
    }
    if (key != "tags" && key != "urls" && key != "prefixes" && key != "hosts") {
      return bad_purge(fmt::format("a purge has no \"{}\"", key));
    }
    simdjson::dom::array texts;
    if (value.get(texts) != simdjson::SUCCESS) return bad_purge(fmt::format("\"{}\" is an array of strings", key));
    for (const simdjson::dom::element element : texts) {
      std::string_view text;
      if (element.get(text) != simdjson::SUCCESS || text.empty()) {
        return bad_purge(fmt::format("\"{}\" is an array of strings that are not empty", key));
      }
      purges.push_back({key, text});
    }
  }
  if (purges.empty() && !all) return bad_purge("the purge names nothing");
  if (all) purges_.purge_all(softly);
  for (const auto& [kind, text] : purges) {
    if (kind == "prefixes") {
      purges_.purge_prefix(text, softly);
    } else if (kind == "tags") {
      purges_.purge_tag(cache::tag_hash(cache::TagKind::kTag, text), softly);
    } else if (kind == "hosts") {
      purges_.purge_tag(cache::tag_hash(cache::TagKind::kHost, text), softly);
    } else if (softly) {
      purges_.purge_tag(cache::tag_hash(cache::TagKind::kUrl, text), softly);
    } else {
      store_.invalidate(text);
      store_.invalidate(cache::partial_url(text));
      if (disk_) purges_.purge_tag(cache::tag_hash(cache::TagKind::kUrl, text), softly);
    }
  }
  if (!disk_) return purges.size() + (all ? 1 : 0);
  if (const Result<void> kept = disk_->sync_purges(); !kept) {
    return fail("cache.purge-not-kept",
                fmt::format("the purge is in effect, but could not be written to the disk: {}", kept.error().what),
                "check the disk, and purge again: after a restart what it covers might be served again");
  }
  return purges.size() + (all ? 1 : 0);
}

Sites::Totals Sites::totals() const {
  Totals totals;
  for (const std::unique_ptr<cache::Proxy>& proxy : proxies_) {
    const cache::ProxyCounters& from = proxy->counters();
    totals.requests += from.requests.value();
    totals.hits += from.hits.value();
    totals.stale += from.stale.value();
    totals.validated += from.validated.value();
    totals.misses += from.misses.value();
    totals.passed += from.passed.value();
    totals.collapsed += from.collapsed.value();
    totals.failures += from.failures.value();
  }
  return totals;
}

}  // namespace verge::node
