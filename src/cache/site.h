// A site: for which hosts it stands, where its content comes from and what is cached of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "cache/access_log.h"
#include "cache/policy.h"
#include "cache/static_files.h"
#include "net/forwarded.h"

namespace verge::cache {

struct OriginOptions {
  std::string url;      // http://host[:port] or https://host[:port]
  bool http2 = false;   // over TLS where the origin agrees, else in clear
  uint64_t weight = 1;  // of the requests, beside the other origins' weights; 0: only when no other is well
  bool operator==(const OriginOptions&) const = default;
};

// The parent node, which stands for the same hosts and is asked before the origins.
struct ShieldOptions {
  std::string url;  // as those of origins
  std::string ca;   // paths of PEM files; empty: the system's, and none
  std::string certificate;
  std::string key;
  bool operator==(const ShieldOptions&) const = default;
};

// How origins are asked whether they are well.
struct HealthOptions {
  std::string path;  // empty: they are not asked
  Duration every = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);
  uint64_t passes = 2;    // in a row, and one that was not is well again
  uint64_t failures = 3;  // in a row, and one that was is not
  bool operator==(const HealthOptions&) const = default;
};

struct SiteOptions {
  std::vector<std::string> hosts;      // "example.com", "*.example.com", "*" for all others; lower case, without ports
  std::vector<OriginOptions> origins;  // may be none where the policies need none
  std::string origin_ca;  // the PEM file that origins' certificates are checked against; empty: the system's
  std::optional<ShieldOptions> shield;
  HealthOptions health;
  PathPolicy policy;                      // of paths that no rule is for
  std::vector<PathRule> rules;            // the first that matches counts
  uint64_t object_bytes_max = 64U << 20;  // larger answers pass through
  bool sends_client_host = true;          // the origin sees the client's Host; else its own
  Duration connect_timeout = std::chrono::seconds(5);
  Duration answer_timeout = std::chrono::seconds(60);  // until the head of an answer
  Duration idle_timeout = std::chrono::seconds(60);    // between two pieces of it
  uint64_t connections_max = 256;                      // to one origin, of one loop
  uint64_t descriptors_max = UINT64_MAX;               // those from here on are not for connections to origins
  uint64_t failures_max = 5;                           // in a row; then the origin is left alone
  Duration failure_pause = std::chrono::seconds(10);   // for so long; then one request tries it

  // Whether both reach the same origins in the same way.
  [[nodiscard]] bool has_same_origins(const SiteOptions& other) const {
    const auto of = [](const SiteOptions& site) {
      return std::tie(site.origins, site.origin_ca, site.shield, site.health, site.sends_client_host,
                      site.connect_timeout, site.answer_timeout, site.idle_timeout, site.connections_max,
                      site.failures_max, site.failure_pause);
    };
    return of(*this) == of(other);
  }
};

// The first of its rules that is for the path, which is plain; none: its policy counts.
std::optional<size_t> rule_for(const SiteOptions& site, std::string_view path, bool is_secure,
                               PathMatch* match = nullptr);

// Which site a request is for.
class SiteTable {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  explicit SiteTable(const std::vector<SiteOptions>& sites);

  // The index of the site for a Host as sent, its port included: the host itself, then the longest "*." that covers it,
  // then "*". kNone when there is none.
  [[nodiscard]] size_t find(std::string_view host) const;

 private:
  std::unordered_map<std::string, size_t, StringHash, std::equal_to<>> hosts_;
  std::unordered_map<std::string, size_t, StringHash, std::equal_to<>> suffixes_;  // of "*.": ".example.com"
  size_t any_ = kNone;
};

// All sites as they are configured at one time; what a reload replaces as a whole. What is under way goes on by the set
// that it began with.
struct SiteSet {
  explicit SiteSet(std::vector<SiteOptions> with) : sites(std::move(with)), table(sites) {}

  const std::vector<SiteOptions> sites;
  const SiteTable table;
  std::vector<net::Network> trusted_proxies;
  bool proxy_protocol = false;  // their connections begin with a PROXY header
  net::ForwardedField forwarded_field = net::ForwardedField::kNone;
  std::shared_ptr<AccessLog> access_log;    // null: none
  std::shared_ptr<RequestLimiter> limiter;  // null: nothing is limited
  std::shared_ptr<StaticFiles> files;       // null: there are none
  std::vector<bool> plain;                  // by site: no rules, and nothing that is done before the cache is asked

  // Once all else is set.
  void settle();
};

// Lower case, without a port and a final dot.
std::string plain_host(std::string_view host);

}  // namespace verge::cache
