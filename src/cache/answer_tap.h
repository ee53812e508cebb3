// AnswerTap: stands between the proxy and the exchange of one client where the answer is edited on its way out, written
// to the access log, traced, or counted as under way. What is none of these has no tap, and costs nothing.
//
// It is an HttpExchange to the proxy and has the real exchange's responder: what the one is told it tells the other. It
// ends, once, when the answer is complete, is given up, or the client has gone.
//
// Threading: on the loop of its connection.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cache/access_log.h"
#include "cache/field_edits.h"
#include "cache/request_limiter.h"
#include "cache/request_trace.h"
#include "net/http_exchange.h"

namespace verge::cache {

// What the proxy learns on the way and the log and the trace show. Shared: either may go first.
struct ExchangeNote {
  Duration upstream{0};
  std::optional<RequestTrace> trace;  // none: it is not traced
};

class AnswerTap final : public net::HttpExchange {
 public:
  struct Options {
    std::shared_ptr<const void> keeps;  // what `edits` is part of
    const FieldEdits* edits = nullptr;  // null: none
    std::shared_ptr<AccessLog> log;     // null: none
    RequestLimiter::Ticket ticket;
    WallTime time;
    std::shared_ptr<ExchangeNote> note;  // with a log, or a trace
  };
  // `ended` may destroy the tap. `request` is read before this returns.
  AnswerTap(const net::HttpRequest& request, net::HttpResponder inner, Options options,
            std::function<void(AnswerTap&)> ended);

  void respond(const net::HttpResponse& response) override;
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override;
  void send_interim(int status, std::span<const net::HttpField> fields) override;
  void start_stream(const net::HttpResponse& response) override;
  void start(const net::HttpResponseHead& head, const net::BodyFraming& framing) override;
  void write_piece(std::string_view piece) override;
  void write_piece(const Payload& bytes, size_t offset, size_t size) override;
  void finish_stream(std::span<const net::HttpField> trailers) override;
  [[nodiscard]] bool is_old() const override { return inner_.is_for_old_client(); }
  void switch_protocols(const net::HttpResponseHead& head, net::RawObserver& observer) override;
  void pause_raw(bool paused) override;
  void drop(bool streaming) override;
  [[nodiscard]] size_t queued_bytes() const override { return inner_.queued_bytes(); }
  void when_drained(std::function<void()> drained) override { inner_.when_drained(std::move(drained)); }
  void when_closed(std::function<void()> closed) override { closed_ = std::move(closed); }

 private:
  [[nodiscard]] bool is_noted() const { return options_.note != nullptr; }
  // The fields with the edits; notes what the log shows.
  std::vector<net::HttpField> edited(int status, std::span<const net::HttpField> fields);
  void on_closed();
  void end(bool complete);

  net::HttpResponder inner_;
  Options options_;
  std::function<void(AnswerTap&)> ended_;
  std::function<void()> closed_;
  MonotonicTime began_;
  bool is_head_;
  // For the log and the trace.
  std::string client_, method_, host_, target_, referer_, user_agent_, cache_status_;
  std::string_view protocol_;
  int status_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace verge::cache
