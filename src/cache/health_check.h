// HealthCheck: asks one origin for a path now and then, whether it is well. An answer with a 2xx or 3xx in time passes.
//
// Its connection is its own, so that a pool that is all taken does not look like an origin that is gone, and is made
// anew each time, so that what new clients meet is what is checked.
//
// Threading: made on any thread, all else on its loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/site.h"
#include "net/http_upstream.h"
#include "runtime/loop.h"

namespace verge::cache {

class HealthCheck final : private net::UpstreamObserver {
 public:
  // Begins soon; the origin is well until it failed often enough. `tls`: none for plain TCP. `authority`: for Host.
  HealthCheck(runtime::Loop& loop, std::vector<net::Address> addresses, std::shared_ptr<const net::TlsContext> tls,
              std::string authority, const HealthOptions& options);
  ~HealthCheck() override;
  HealthCheck(const HealthCheck&) = delete;
  HealthCheck& operator=(const HealthCheck&) = delete;

  [[nodiscard]] bool is_well() const { return is_well_; }
  // Where the origin is from now on.
  void move_to(std::vector<net::Address> addresses) { pool_.move_to(std::move(addresses)); }

 private:
  void ask();
  void take(bool passed, std::string_view why);
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override;
  void on_body(std::string_view) override {}
  void on_end(std::span<const net::HttpField>) override {}
  void on_failed(const Error& error) override;

  const std::string authority_;
  const HealthOptions options_;
  net::UpstreamPool pool_;
  std::unique_ptr<net::UpstreamCall> call_;
  runtime::Timer timer_;
  uint64_t in_a_row_ = 0;  // results that speak against is_well_
  bool is_well_ = true;
  std::shared_ptr<HealthCheck*> alive_ = std::make_shared<HealthCheck*>(this);
};

}  // namespace verge::cache
