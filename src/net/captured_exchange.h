// CapturedExchange: a request that this process makes of itself. To who answers it is a client's exchange, to who asked
// it is a call to an upstream: what the one writes, the other is told.
//
// Nothing is told from within a call of either: it waits for the loop. What waits, and all while the observer has
// paused, counts as queued, so that who answers holds back as for a slow client.
//
// Threading: on its loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/http_exchange.h"
#include "net/upstream.h"
#include "runtime/loop.h"

namespace verge::net {

class CapturedExchange final : public HttpExchange, public UpstreamCall {
 public:
  // `is_head`: the request's method is HEAD, to which no body belongs. `loop` and `observer` outlive it.
  CapturedExchange(runtime::Loop& loop, UpstreamObserver& observer, bool is_head);
  // Who answers is told that the client has gone.
  ~CapturedExchange() override;
  CapturedExchange(const CapturedExchange&) = delete;
  CapturedExchange& operator=(const CapturedExchange&) = delete;

  // Of its kind: the request has been made whole already.
  void write_body(std::string_view) override {}
  void finish_body(std::span<const HttpField>) override {}
  [[nodiscard]] size_t queued_bytes() const override { return body_.size(); }
  void pause() override { paused_ = true; }
  void resume() override;

  void respond(const HttpResponse& response) override;
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override;
  void send_interim(int, std::span<const HttpField>) override {}
  void start_stream(const HttpResponse& response) override;
  void start(const HttpResponseHead& head, const BodyFraming& framing) override;
  void write_piece(std::string_view piece) override;
  void write_piece(const Payload& bytes, size_t offset, size_t size) override;
  void finish_stream(std::span<const HttpField> trailers) override;
  [[nodiscard]] bool is_old() const override { return false; }
  void switch_protocols(const HttpResponseHead&, RawObserver&) override { drop(/*streaming=*/true); }
  void pause_raw(bool) override {}
  void drop(bool streaming) override;
  void when_drained(std::function<void()> drained) override { drained_ = std::move(drained); }
  void when_closed(std::function<void()> closed) override { closed_ = std::move(closed); }

 private:
  enum class End { kNone, kComplete, kBroken };
  void take_head(int status, std::span<const HttpField> fields, std::string_view content_type,
                 const BodyFraming& framing);
  void end(End how);
  void tell();

  UpstreamObserver& observer_;
  const bool is_head_;
  int status_ = 0;  // 0: there is no head yet
  std::vector<std::pair<std::string, std::string>> fields_;
  BodyFraming framing_;
  std::string body_;  // that was not told yet
  End end_ = End::kNone;
  bool told_head_ = false;
  bool paused_ = false;
  std::function<void()> drained_;
  std::function<void()> closed_;
  runtime::Timer telling_;
  std::shared_ptr<CapturedExchange*> alive_ = std::make_shared<CapturedExchange*>(this);
};

}  // namespace verge::net
