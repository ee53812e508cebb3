// Origins: where one site's content comes from, as one loop reaches it: the connections to each, and the choice
// between them.
//
// A shield, where there is one, is asked first as long as it is well.
//
// The choice is smooth weighted round robin among those that are well. An origin that failed so many times in a row is
// left alone for a while, then tried with one request. When none is well, the one that failed first is tried: a request
// that may fail is better than one that must. With health checks each origin is asked for a path now and then, over a
// connection of its own: one that fails these is left alone until it passes them again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache/health_check.h"
#include "cache/site.h"
#include "net/http_upstream.h"
#include "net/name_watch.h"
#include "net/tls_context.h"
#include "runtime/loop.h"

namespace verge::cache {

class Origins {
 public:
  // Resolves the origins' names, which may take a while, and follows them by `names` from then on. Errors: those of
  // net::resolve_all, net.tls-….
  static Result<std::unique_ptr<Origins>> open(runtime::Loop& loop, const SiteOptions& site, net::NameWatch& names);

  // The next to be asked, but none of `tried` (a bit each). Nothing when there is no other.
  std::optional<size_t> choose(uint64_t tried, MonotonicTime now);
  // The parent node: it decides by the host that the client asked for.
  [[nodiscard]] bool is_shield(size_t index) const { return origins_[index].is_shield; }
  void succeeded(size_t index);
  void failed(size_t index, MonotonicTime now);

  [[nodiscard]] net::Upstream& upstream(size_t index) { return *origins_[index].upstream; }
  // host[:port], for its Host field.
  [[nodiscard]] std::string_view authority(size_t index) const { return origins_[index].authority; }
  // http://host[:port] or https://host[:port], as it was configured.
  [[nodiscard]] std::string_view url(size_t index) const { return origins_[index].url; }
  [[nodiscard]] size_t size() const { return origins_.size(); }

 private:
  struct Origin {
    std::unique_ptr<net::Upstream> upstream;
    std::string url;
    std::string authority;
    bool is_shield = false;
    std::unique_ptr<HealthCheck> check;  // none: it is not asked
    int64_t weight = 1;
    int64_t current = 0;
    uint64_t failures = 0;
    MonotonicTime broken_until{};
    std::shared_ptr<net::NameWatch::Watcher> name;  // null: its address is a number
  };
  // The origin, which becomes the next of `origins_`.
  Result<Origin> make(runtime::Loop& loop, const SiteOptions& site, const OriginOptions& option,
                      net::TlsContext::Client tls, net::NameWatch& names);
  explicit Origins(const SiteOptions& site) : failures_max_(site.failures_max), failure_pause_(site.failure_pause) {}

  const uint64_t failures_max_;
  const Duration failure_pause_;
  std::vector<Origin> origins_;
  std::shared_ptr<Origins*> alive_ = std::make_shared<Origins*>(this);
};

}  // namespace verge::cache
