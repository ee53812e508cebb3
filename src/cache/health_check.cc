#include "cache/health_check.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace verge::cache {

HealthCheck::HealthCheck(runtime::Loop& loop, std::vector<net::Address> addresses,
                         std::shared_ptr<const net::TlsContext> tls, std::string authority,
                         const HealthOptions& options)
    : authority_(std::move(authority)),
      options_(options),
      pool_(loop, std::move(addresses),
            net::UpstreamLimits{.connections_max = 1,
                                .idle_connections_max = 0,
                                .connect_timeout = options.timeout,
                                .head_timeout = options.timeout,
                                .idle_timeout = options.timeout},
            std::move(tls), plain_host(authority_)),
      timer_(loop) {
  // It may be made on another thread.
  loop.post([alive = std::weak_ptr(alive_)] {
    if (const auto check = alive.lock()) (*check)->ask();
  });
}

HealthCheck::~HealthCheck() = default;

void HealthCheck::ask() {
  timer_.after(options_.every, [this] { ask(); });
  if (call_) take(false, "the check before has not ended");
  const net::HttpField fields[] = {{"User-Agent", "verge-health-check"}};
  call_ = pool_.begin({.method = "GET",
                       .target = options_.path,
                       .authority = authority_,
                       .fields = fields,
                       .framing = {},
                       .upgrade = std::nullopt},
                      *this);
}

void HealthCheck::on_head(const net::ResponseHead& head, const net::BodyFraming&) {
  // The head says it; the body, which may be long, is not waited for.
  const int status = head.status;
  call_ = nullptr;
  take(status >= 200 && status < 400, fmt::format("it answered {}", status));
}

void HealthCheck::on_failed(const Error& error) {
  const std::string what = error.what;
  call_ = nullptr;
  take(false, what);
}

void HealthCheck::take(bool passed, std::string_view why) {
  if (passed == is_well_) {
    in_a_row_ = 0;
    return;
  }
  if (++in_a_row_ < (is_well_ ? options_.failures : options_.passes)) return;
  in_a_row_ = 0;
  is_well_ = passed;
  if (passed) return log_info("cache", "the origin {} passes its health check again", authority_);
  log_warning("cache", "the origin {} fails its health check, and is left alone while others are well: {}", authority_,
              why);
}

}  // namespace verge::cache
