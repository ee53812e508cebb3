// Sites: the node's HTTP cache, wired: what loops share, and a proxy on each.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "cache/disk_tier.h"
#include "cache/pending_fetches.h"
#include "cache/proxy.h"
#include "cache/purges.h"
#include "cache/site.h"
#include "cache/store.h"
#include "net/http_server.h"
#include "net/name_watch.h"
#include "node/config.h"
#include "rules/rule_source.h"
#include "runtime/loop.h"
#include "storage/file_system.h"

namespace verge::node {

class Sites {
 public:
  // `config` has at least one site; `directory`: for what is kept on the disk; `descriptors_max`: those from here on
  // are not for connections to origins; `tracer`: null, or outlives it. Errors: an origin's name cannot be resolved,
  // its TLS cannot be set up; those of the disk.
  static Result<std::unique_ptr<Sites>> open(const Config& config, const Clock& clock, storage::FileSystem& file_system,
                                             const std::string& directory, const std::vector<runtime::Loop*>& loops,
                                             uint64_t descriptors_max, traces::Tracer* tracer);

  // Of the loop with that index, on that loop.
  [[nodiscard]] cache::Proxy& proxy(size_t loop) { return *proxies_[loop]; }

  // Sites, rules and all else of `config` that concerns them but [cache] is in effect for requests from now on, on all
  // loops when this returns; what is stored stays, and requests under way end as they began. `on_loop` runs its
  // argument on the loop with that index and returns when it has. As for open(); with an error nothing has changed.
  Result<void> reload(const Config& config,
                      const std::function<void(const std::function<void(size_t loop)>&)>& on_loops);
  // To the access log, if there is one; on that loop.
  void log_refused(size_t loop, const net::RefusedRequest& request);
  // The access log's file is opened again; any thread.
  void reopen_access_log();

  // In effect when it returns; kept over a restart soon after. Any thread; waits for no disk.
  void purge(rules::PurgeScope scope, std::string_view what, bool softly);
  // {"tags":[…],"urls":[…],"prefixes":[…],"hosts":[…],"all":true,"soft":true}, each optional, one at least. Any thread.
  // How many purges it was. Errors: cache.purge; cache.purge-not-kept, then it is in effect, but what it covers may be
  // served again after a restart. May wait for the disk.
  Result<size_t> purge(std::string_view json);

  // What is stored for a URL and why, or why nothing is, as JSON. Any thread. Error: cache.url.
  [[nodiscard]] Result<std::string> explain(std::string_view url);

  struct Totals {
    uint64_t redirected = 0, files = 0, limited = 0, not_signed = 0;
    uint64_t requests = 0, hits = 0, stale = 0, validated = 0, misses = 0, passed = 0, collapsed = 0, failures = 0;
    uint64_t composed = 0, tunnels = 0;
    uint64_t computed = 0;   // answered by a worker by itself
    uint64_t delegated = 0;  // by one that asked sites of this node, which are counted as well
    uint64_t unworked = 0;   // answered with an error by this node, because a worker failed

    // What was counted after `base`.
    [[nodiscard]] Totals since(const Totals& base) const;
    // Those that the store may answer.
    [[nodiscard]] uint64_t storable() const { return asked() - std::min(asked(), passed); }
    // Those for what origins have, or workers.
    [[nodiscard]] uint64_t asked() const {
      return requests - std::min(requests, redirected + files + limited + not_signed + delegated);
    }
    // Of the requests that the store may answer; 0 before the first.
    [[nodiscard]] double hit_ratio() const { return ratio(hits + collapsed, storable()); }
    // Of all requests for what origins have, or workers.
    [[nodiscard]] double edge_hit_ratio() const { return ratio(hits + collapsed + computed, asked()); }

    // Of all requests, those that this node answered with no error of its own making (502, 504, 500, 503).
    [[nodiscard]] double availability() const { return 1 - ratio(failures + unworked, requests); }

   private:
    // Parts are counted by other threads than the whole, and may be ahead of it.
    static double ratio(uint64_t part, uint64_t all) {
      return all == 0 ? 0 : static_cast<double>(std::min(part, all)) / static_cast<double>(all);
    }
  };
  [[nodiscard]] Totals totals() const;  // any thread
  // How long requests took until their answers began, and origins until theirs did, added to what is there. Any thread.
  void add_times(Histogram::Snapshot& answered, Histogram::Snapshot& origin) const;
  // {"urls":[{"key":…,"share":…}],"tags":[…]}: what is asked for most. Any thread.
  [[nodiscard]] std::string popular_json(size_t most) const;
  [[nodiscard]] uint64_t purges() const { return purge_count_; }  // made so far
  [[nodiscard]] const cache::StoreCounters& store() const { return store_.counters(); }
  [[nodiscard]] const cache::DiskTier* disk() const { return disk_.get(); }  // null: memory only
  // As they are configured now; any thread. Its log and limiter may be null.
  [[nodiscard]] std::shared_ptr<const cache::SiteSet> set() const;

 private:
  Sites(const Config& config, const Clock& clock, uint64_t descriptors_max);
  void carry_out(rules::PurgeScope scope, std::string_view what, bool softly);
  // What is configured, with what of the present set goes on.
  Result<std::shared_ptr<const cache::SiteSet>> make_set(const Config& config) const;
  // Origins that did not change are those of `former`, with their connections.
  static Result<cache::Serving> make_serving(runtime::Loop& loop, const std::shared_ptr<const cache::SiteSet>& set,
                                             const cache::Serving* former, net::NameWatch& names);

  const Clock& clock_;
  const uint64_t descriptors_max_;
  const uint64_t seed_;
  mutable std::mutex mutex_;
  std::shared_ptr<const cache::SiteSet> set_;  // under the mutex
  cache::Purges purges_;
  std::atomic<uint64_t> purge_count_{0};
  cache::Store store_;
  cache::PendingFetches pending_;
  std::unique_ptr<cache::DiskTier> disk_;
  net::NameWatch names_;
  std::vector<runtime::Loop*> loops_;
  std::vector<std::unique_ptr<cache::Proxy>> proxies_;
};

}  // namespace verge::node
