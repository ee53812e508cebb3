#include "cache/origins.h"

#include <algorithm>

#include "base/log.h"
#include "net/address.h"
#include "net/tls_context.h"

namespace verge::cache {

Result<std::unique_ptr<Origins>> Origins::open(runtime::Loop& loop, const SiteOptions& site) {
  auto origins = std::unique_ptr<Origins>(new Origins(site));
  for (const OriginOptions& option : site.origins) {
    std::string_view rest = option.url;
    const bool is_secure = rest.starts_with("https://");
    rest.remove_prefix(is_secure ? 8 : 7);
    std::string authority(rest.substr(0, rest.find('/')));
    std::string with_port = authority;
    const size_t bracket = with_port.rfind(']'), colon = with_port.rfind(':');
    if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) {
      with_port.append(is_secure ? ":443" : ":80");
    }
    const Result<net::Address> address = net::Address::resolve(with_port);
    if (!address) return std::unexpected(address.error());
    std::shared_ptr<const net::TlsContext> tls;
    if (is_secure) {
      Result<std::shared_ptr<const net::TlsContext>> made =
          net::TlsContext::client({.server_name = plain_host(authority)});
      if (!made) return std::unexpected(made.error());
      tls = std::move(*made);
    }
    Origin origin;
    origin.pool = std::make_unique<net::UpstreamPool>(loop, *address,
                                                      net::UpstreamLimits{.connections_max = site.connections_max,
                                                                          .connect_timeout = site.connect_timeout,
                                                                          .head_timeout = site.answer_timeout,
                                                                          .idle_timeout = site.idle_timeout,
                                                                          .descriptors_max = site.descriptors_max},
                                                      std::move(tls), plain_host(authority));
    origin.authority = std::move(authority);
    origin.weight = static_cast<int64_t>(option.weight);
    origins->origins_.push_back(std::move(origin));
  }
  return origins;
}

std::optional<size_t> Origins::choose(uint64_t tried, MonotonicTime now) {
  std::optional<size_t> best, first_to_fail;
  int64_t total = 0;
  for (size_t i = 0; i < origins_.size(); ++i) {
    if ((tried >> (i % 64) & 1U) != 0) continue;
    Origin& origin = origins_[i];
    if (!first_to_fail || origin.broken_until < origins_[*first_to_fail].broken_until) first_to_fail = i;
    if (origin.broken_until > now) continue;
    total += origin.weight;
    origin.current += origin.weight;
    if (!best || origin.current > origins_[*best].current) best = i;
  }
  if (!best) return first_to_fail;
  Origin& chosen = origins_[*best];
  chosen.current -= total;
  // One request at a time while it is not known to be well again.
  if (chosen.failures >= failures_max_) chosen.broken_until = now + failure_pause_;
  return best;
}

void Origins::succeeded(size_t index) {
  Origin& origin = origins_[index];
  if (origin.failures >= failures_max_) log_info("cache", "the origin {} is well again", origin.authority);
  origin.failures = 0;
  origin.broken_until = {};
}

void Origins::failed(size_t index, MonotonicTime now) {
  Origin& origin = origins_[index];
  if (++origin.failures < failures_max_) return;
  origin.broken_until = now + failure_pause_;
  if (origin.failures == failures_max_) {
    log_warning("cache", "the origin {} failed {} times in a row, and is left alone while others are well",
                origin.authority, origin.failures);
  }
}

}  // namespace verge::cache
