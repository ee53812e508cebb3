#include "cache/origins.h"

#include <algorithm>

#include "base/log.h"
#include "net/address.h"
#include "net/http2_upstream.h"
#include "net/resolve.h"
#include "net/tls_context.h"

namespace verge::cache {

Result<std::unique_ptr<Origins>> Origins::open(runtime::Loop& loop, const SiteOptions& site, net::NameWatch& names) {
  auto origins = std::unique_ptr<Origins>(new Origins(site));
  if (site.shield) {
    // A node speaks HTTP/2 wherever it speaks HTTP.
    const OriginOptions option{.url = site.shield->url, .http2 = true};
    Result<Origin> shield =
        origins->make(loop, site, option,
                      {.server_name = {},
                       .ca = site.shield->ca,
                       .identity = {.certificate = site.shield->certificate, .key = site.shield->key},
                       .protocols = {}},
                      names);
    if (!shield) return std::unexpected(shield.error());
    shield->is_shield = true;
    origins->origins_.push_back(std::move(*shield));
  }
  for (const OriginOptions& option : site.origins) {
    Result<Origin> origin = origins->make(
        loop, site, option, {.server_name = {}, .ca = site.origin_ca, .identity = {}, .protocols = {}}, names);
    if (!origin) return std::unexpected(origin.error());
    origins->origins_.push_back(std::move(*origin));
  }
  return origins;
}

Result<Origins::Origin> Origins::make(runtime::Loop& loop, const SiteOptions& site, const OriginOptions& option,
                                      net::TlsContext::Client tls, net::NameWatch& names) {
  std::string_view rest = option.url;
  const bool is_secure = rest.starts_with("https://");
  rest.remove_prefix(is_secure ? 8 : 7);
  Origin origin;
  origin.authority = rest.substr(0, rest.find('/'));
  origin.url = std::string(is_secure ? "https://" : "http://") + origin.authority;
  std::string with_port = origin.authority;
  const size_t bracket = with_port.rfind(']'), colon = with_port.rfind(':');
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) {
    with_port.append(is_secure ? ":443" : ":80");
  }
  const Result<std::vector<net::Address>> addresses = net::resolve_all(with_port);
  if (!addresses) return std::unexpected(addresses.error());
  const std::string host = plain_host(origin.authority);
  const net::UpstreamLimits limits{.connections_max = site.connections_max,
                                   .connect_timeout = site.connect_timeout,
                                   .head_timeout = site.answer_timeout,
                                   .idle_timeout = site.idle_timeout,
                                   .descriptors_max = site.descriptors_max};
  std::shared_ptr<const net::TlsContext> over_http1, over_http2;
  if (is_secure) {
    tls.server_name = host;
    tls.protocols = {"http/1.1"};
    Result<std::shared_ptr<const net::TlsContext>> made = net::TlsContext::client(tls);
    if (!made) return std::unexpected(made.error());
    over_http1 = std::move(*made);
    tls.protocols = {"h2", "http/1.1"};
    if (option.http2) made = net::TlsContext::client(tls);
    if (!made) return std::unexpected(made.error());
    if (option.http2) over_http2 = std::move(*made);
  }
  if (!site.health.path.empty()) {
    origin.check = std::make_unique<HealthCheck>(loop, *addresses, over_http1, origin.authority, site.health);
  }
  if (option.http2) {
    origin.upstream = std::make_unique<net::Http2Upstream>(loop, *addresses, limits, std::move(over_http2),
                                                           std::move(over_http1), host);
  } else {
    origin.upstream = std::make_unique<net::UpstreamPool>(loop, *addresses, limits, std::move(over_http1), host);
  }
  origin.weight = static_cast<int64_t>(option.weight);
  if (net::is_name(with_port)) {
    const auto move = [&loop, alive = std::weak_ptr(alive_),
                       index = origins_.size()](const std::vector<net::Address>& now) {
      loop.post([alive, index, now] {
        const auto origins = alive.lock();
        if (!origins) return;
        Origin& moved = (*origins)->origins_[index];
        moved.upstream->move_to(now);
        if (moved.check) moved.check->move_to(now);
      });
    };
    origin.name = names.watch(with_port, *addresses, move);
  }
  return origin;
}

std::optional<size_t> Origins::choose(uint64_t tried, MonotonicTime now) {
  std::optional<size_t> best, first_to_fail;
  int64_t total = 0;
  for (size_t i = 0; i < origins_.size(); ++i) {
    if ((tried >> (i % 64) & 1U) != 0) continue;
    Origin& origin = origins_[i];
    if (!first_to_fail || origin.broken_until < origins_[*first_to_fail].broken_until) first_to_fail = i;
    if (origin.broken_until > now || (origin.check && !origin.check->is_well())) continue;
    if (origin.is_shield) {
      best = i;
      total = 0;
      break;
    }
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
