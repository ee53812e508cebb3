// Tunnel: one client's WebSocket (RFC 6455) through a site: the request with its Upgrade goes to an origin; once that
// agrees, bytes go both ways as they are, each at the pace of the slower side. An origin that does not agree answers as
// to any request, and nothing of it is stored.
//
// What waits for either side is at most 256 KiB, and what one read brings beyond. Neither side is timed out for being
// silent: WebSocket has pings of its own. A side that ends ends the other once all is sent; one that breaks breaks it.
//
// Threading: on its loop.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "cache/owned_fields.h"
#include "net/http_exchange.h"
#include "net/http_upstream.h"

namespace verge::cache {

class Tunnel final : private net::UpstreamObserver, private net::RawObserver {
 public:
  struct Told {
    std::function<void(int status)> answered;  // 101, or what the origin said instead
    std::function<void(const Error&)> failed;  // the origin was not reached; responder() is to be answered
    std::function<void()> ended;               // last; may destroy the tunnel
  };

  Tunnel(net::HttpResponder responder, Told told);
  ~Tunnel() override;
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // `request.upgrade` is "websocket". `fields` are added to the answer's.
  void start(net::Upstream& upstream, const net::UpstreamRequest& request, std::span<const net::HttpField> fields);
  // After failed(): who asked is told why.
  [[nodiscard]] net::HttpResponder& responder() { return responder_; }

 private:
  static constexpr size_t kQueuedMax = 256U << 10;

  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override;
  void on_body(std::string_view piece) override;
  void on_end(std::span<const net::HttpField> trailers) override;
  void on_failed(const Error& error) override;
  void on_request_drained() override;
  void on_raw_bytes(std::string_view bytes) override;
  void on_raw_end() override;

  void end();

  net::HttpResponder responder_;
  Told told_;
  OwnedFields added_;
  std::unique_ptr<net::UpstreamCall> call_;
  bool answered_ = false;
  bool switched_ = false;
};

}  // namespace verge::cache
