#include "node/sites.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/random.h"
#include "base/text.h"
#include "node/site_policy.h"

namespace verge::node {
namespace {

// The members of a purge that name something.
constexpr std::array<std::pair<std::string_view, rules::PurgeScope>, 4> kPurgeKeys = {
    {{"tags", rules::PurgeScope::kTag},
     {"urls", rules::PurgeScope::kUrl},
     {"prefixes", rules::PurgeScope::kPrefix},
     {"hosts", rules::PurgeScope::kHost}}};

std::unexpected<Error> bad_purge(std::string what) {
  return fail(
      "cache.purge", std::move(what),
      R"(send {"tags":[…]}, {"urls":[…]}, {"prefixes":[…]}, {"hosts":[…]} or {"all":true}, with "soft":true to )"
      "serve stale answers meanwhile");
}

// Whether it can be (the beginning of) a URL by which answers are kept.
bool has_scheme(std::string_view text) {
  const std::string plain = lower(text.substr(0, std::string_view("https://").size()));
  return plain.starts_with("http://") || plain.starts_with("https://");
}

}  // namespace

Sites::Sites(const Config& config, const Clock& clock, uint64_t descriptors_max)
    : clock_(clock),
      descriptors_max_(descriptors_max),
      seed_(system_seed()),
      store_({.bytes_max = config.cache.memory_bytes_max}, purges_, system_seed()),
      names_(config.cache.resolve_every) {}

Result<std::unique_ptr<Sites>> Sites::open(const Config& config, const Clock& clock, storage::FileSystem& file_system,
                                           const std::string& directory, const std::vector<runtime::Loop*>& loops,
                                           uint64_t descriptors_max, traces::Tracer* tracer) {
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
                             .disk = sites->disk_.get(),
                             .tracer = tracer};
  Result<std::shared_ptr<const cache::SiteSet>> set = sites->make_set(config);
  if (!set) return std::unexpected(set.error());
  sites->set_ = std::move(*set);
  sites->loops_ = loops;
  for (runtime::Loop* loop : loops) {
    Result<cache::Serving> serving = make_serving(*loop, sites->set_, nullptr, sites->names_);
    if (!serving) return std::unexpected(serving.error());
    sites->proxies_.push_back(std::make_unique<cache::Proxy>(*loop, shared, std::move(*serving), config.node.name));
  }
  return sites;
}

Result<std::shared_ptr<const cache::SiteSet>> Sites::make_set(const Config& config) const {
  const std::shared_ptr<const cache::SiteSet> former = this->set();
  Result<std::vector<cache::SiteOptions>> options = site_options(config.sites, config.parent);
  if (!options) return std::unexpected(options.error());
  for (cache::SiteOptions& site : *options) site.descriptors_max = descriptors_max_;
  auto set = std::make_shared<cache::SiteSet>(std::move(*options));
  set->trusted_proxies = config.http.trusted_proxies;
  set->proxy_protocol = config.http.proxy_protocol;
  set->forwarded_field = config.http.client_field;
  if (const AccessLogConfig& log = config.access_log; !log.file.empty()) {
    const bool goes_on = former && former->access_log && former->access_log->path() == log.file &&
                         former->access_log->format() == log.format;
    if (goes_on) {
      set->access_log = former->access_log;
    } else {
      Result<std::unique_ptr<cache::AccessLog>> opened = cache::AccessLog::open(log.file, log.format);
      if (!opened) return std::unexpected(opened.error());
      set->access_log = std::move(*opened);
    }
  }
  const auto any = [&](auto of_policy) {
    return std::ranges::any_of(set->sites, [&](const cache::SiteOptions& site) {
      return of_policy(site.policy) ||
             std::ranges::any_of(site.rules, [&](const cache::PathRule& rule) { return of_policy(rule.policy); });
    });
  };
  // Kept once there, so that a reload that changes nothing of them forgets nobody.
  if (former && former->limiter) set->limiter = former->limiter;
  if (former && former->files) set->files = former->files;
  if (!set->limiter && any([](const cache::PathPolicy& policy) { return policy.limit.has_value(); })) {
    set->limiter = std::make_shared<cache::RequestLimiter>(config.cache.limited_clients_max, seed_);
  }
  if (!set->files && any([](const cache::PathPolicy& policy) { return policy.root.has_value(); })) {
    set->files = std::make_shared<cache::StaticFiles>();
  }
  set->settle();
  return set;
}

Result<cache::Serving> Sites::make_serving(runtime::Loop& loop, const std::shared_ptr<const cache::SiteSet>& set,
                                           const cache::Serving* former, net::NameWatch& names) {
  cache::Serving serving{.set = set, .origins = {}};
  for (const cache::SiteOptions& options : set->sites) {
    std::shared_ptr<cache::Origins> origins;
    for (size_t i = 0; former != nullptr && i < former->origins.size() && !origins; ++i) {
      if (former->set->sites[i].has_same_origins(options)) origins = former->origins[i];
    }
    if (!origins) {
      Result<std::unique_ptr<cache::Origins>> opened = cache::Origins::open(loop, options, names);
      if (!opened) return std::unexpected(opened.error());
      origins = std::move(*opened);
    }
    serving.origins.push_back(std::move(origins));
  }
  return serving;
}

Result<void> Sites::reload(const Config& config,
                           const std::function<void(const std::function<void(size_t loop)>&)>& on_loops) {
  const Result<std::shared_ptr<const cache::SiteSet>> set = make_set(config);
  if (!set) return std::unexpected(set.error());
  // Names are resolved here, where nobody waits; what a loop has is looked at and let go on that loop only.
  std::vector<cache::Serving> copies(proxies_.size());
  on_loops([&](size_t loop) { copies[loop] = proxies_[loop]->serving(); });
  std::vector<cache::Serving> servings;
  std::optional<Error> problem;
  for (size_t i = 0; i < proxies_.size() && !problem; ++i) {
    Result<cache::Serving> serving = make_serving(*loops_[i], *set, &copies[i], names_);
    if (serving) {
      servings.push_back(std::move(*serving));
    } else {
      problem = serving.error();
    }
  }
  on_loops([&](size_t loop) {
    if (!problem) proxies_[loop]->replace(std::move(servings[loop]));
    if (problem && loop < servings.size()) servings[loop] = {};
    copies[loop] = {};
  });
  if (problem) return std::unexpected(*problem);
  const std::lock_guard lock(mutex_);
  set_ = *set;
  return {};
}

std::shared_ptr<const cache::SiteSet> Sites::set() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

void Sites::log_refused(size_t loop, const net::RefusedRequest& request) {
  const std::shared_ptr<cache::AccessLog>& log = proxies_[loop]->serving().set->access_log;
  if (!log) return;
  const std::string client = request.peer.ip_text();
  log->append({.time = clock_.wall(),
               .client = client,
               .method = request.method,
               .host = request.host,
               .target = request.target,
               .protocol = request.protocol,
               .referer = {},
               .user_agent = {},
               .status = request.status,
               .cache_status = {}});
}

void Sites::reopen_access_log() {
  const std::shared_ptr<const cache::SiteSet> set = this->set();
  if (set->access_log) set->access_log->reopen();
}

void Sites::purge(rules::PurgeScope scope, std::string_view what, bool softly) {
  carry_out(scope, what, softly);
  if (disk_) disk_->sync_purges_soon();
}

void Sites::carry_out(rules::PurgeScope scope, std::string_view what, bool softly) {
  ++purge_count_;
  switch (scope) {
    case rules::PurgeScope::kTag:
      return purges_.purge_tag(cache::tag_hash(cache::TagKind::kTag, what), softly);
    case rules::PurgeScope::kHost:
      return purges_.purge_tag(cache::tag_hash(cache::TagKind::kHost, lower(what)), softly);
    case rules::PurgeScope::kPrefix:
      return purges_.purge_prefix(cache::plain_url_prefix(what), softly);
    case rules::PurgeScope::kUrl: {
      const std::string url = cache::plain_url(what);
      if (softly || disk_) purges_.purge_tag(cache::tag_hash(cache::TagKind::kUrl, url), softly);
      if (softly) return;
      // Gone for good, and their space with them.
      for (const std::string& key : {url, cache::origin_url(url)}) {
        store_.invalidate(key);
        store_.invalidate(cache::partial_url(key));
      }
    }
  }
}

Result<size_t> Sites::purge(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object wanted;
  if (parser.parse(simdjson::padded_string(json)).get(wanted) != simdjson::SUCCESS) {
    return bad_purge("a purge is a JSON object");
  }
  bool softly = false, all = false;
  std::vector<std::pair<rules::PurgeScope, std::string_view>> purges;
  for (const auto& [key, value] : wanted) {
    if (key == "soft" || key == "all") {
      if (value.get(key == "soft" ? softly : all) != simdjson::SUCCESS) {
        return bad_purge(fmt::format("\"{}\" is true or false", key));
      }
      continue;
    }
    const auto scope = std::ranges::find(kPurgeKeys, key, &std::pair<std::string_view, rules::PurgeScope>::first);
    if (scope == kPurgeKeys.end()) return bad_purge(fmt::format("a purge has no \"{}\"", key));
    simdjson::dom::array texts;
    if (value.get(texts) != simdjson::SUCCESS) return bad_purge(fmt::format("\"{}\" is an array of strings", key));
    for (const simdjson::dom::element element : texts) {
      std::string_view text;
      if (element.get(text) != simdjson::SUCCESS || text.empty()) {
        return bad_purge(fmt::format("\"{}\" is an array of strings that are not empty", key));
      }
      const bool is_of_urls = scope->second == rules::PurgeScope::kUrl || scope->second == rules::PurgeScope::kPrefix;
      if (is_of_urls && !has_scheme(text)) {
        return bad_purge(fmt::format("'{}' in \"{}\" does not begin with http:// or https://", text, key));
      }
      purges.emplace_back(scope->second, text);
    }
  }
  if (purges.empty() && !all) return bad_purge("the purge names nothing");
  if (all) purges_.purge_all(softly);
  if (all) ++purge_count_;
  for (const auto& [scope, text] : purges) carry_out(scope, text, softly);
  if (!disk_) return purges.size() + (all ? 1 : 0);
  if (const Result<void> kept = disk_->sync_purges(); !kept) {
    return fail("cache.purge-not-kept",
                fmt::format("the purge is in effect, but could not be written to the disk: {}", kept.error().what),
                "check the disk, and purge again: after a restart what it covers might be served again");
  }
  return purges.size() + (all ? 1 : 0);
}

Sites::Totals Sites::Totals::since(const Totals& base) const {
  Totals made;
  for (uint64_t Totals::* const each :
       {&Totals::redirected, &Totals::files, &Totals::limited, &Totals::not_signed, &Totals::requests, &Totals::hits,
        &Totals::stale, &Totals::validated, &Totals::misses, &Totals::passed, &Totals::collapsed, &Totals::failures,
        &Totals::composed, &Totals::tunnels, &Totals::computed, &Totals::delegated, &Totals::unworked}) {
    // Of workers that are gone nothing is counted any more.
    made.*each = this->*each - std::min(this->*each, base.*each);
  }
  return made;
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
    totals.tunnels += from.tunnels.value();
    totals.composed += from.composed.value();
    totals.failures += from.failures.value();
    totals.redirected += from.redirected.value();
    totals.files += from.files.value();
    totals.limited += from.limited.value();
    totals.not_signed += from.not_signed.value();
  }
  return totals;
}

void Sites::add_times(Histogram::Snapshot& answered, Histogram::Snapshot& origin) const {
  for (const std::unique_ptr<cache::Proxy>& proxy : proxies_) {
    answered.add(proxy->counters().answered);
    origin.add(proxy->counters().origin);
  }
}

std::string Sites::popular_json(size_t most) const {
  std::string out;
  const auto list = [&](std::string_view name, const cache::Popular& (cache::Proxy::*of)() const) {
    std::unordered_map<std::string, uint64_t> weights;
    uint64_t all = 0;
    for (const std::unique_ptr<cache::Proxy>& proxy : proxies_) all += ((*proxy).*of)().add_to(weights);
    fmt::format_to(std::back_inserter(out), "\"{}\":[", name);
    for (const cache::Popular::Place& place : cache::Popular::heaviest(weights, most)) {
      fmt::format_to(std::back_inserter(out), R"({}{{"key":{},"share":{:.4f}}})", out.back() == '[' ? "" : ",",
                     json_string(place.key), static_cast<double>(place.weight) / static_cast<double>(all));
    }
    out.push_back(']');
  };
  out.push_back('{');
  list("urls", &cache::Proxy::popular_urls);
  out.push_back(',');
  list("tags", &cache::Proxy::popular_tags);
  return out.append("}");
}

}  // namespace verge::node
