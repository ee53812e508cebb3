#include "net/http_exchange.h"

#include <utility>

#include "base/assert.h"

namespace verge::net {

void HttpExchange::forget_responder() {
  if (responder_ != nullptr) std::exchange(responder_, nullptr)->exchange_ = nullptr;
}

HttpResponder::HttpResponder(HttpExchange& exchange) : exchange_(&exchange) { exchange_->link(this); }

HttpResponder::HttpResponder(HttpResponder&& other) noexcept
    : exchange_(std::exchange(other.exchange_, nullptr)), answered_(other.answered_), streaming_(other.streaming_) {
  if (exchange_ != nullptr) exchange_->link(this);
}

HttpResponder& HttpResponder::operator=(HttpResponder&& other) noexcept {
  if (this == &other) return *this;
  settle();
  exchange_ = std::exchange(other.exchange_, nullptr);
  answered_ = other.answered_;
  streaming_ = other.streaming_;
  if (exchange_ != nullptr) exchange_->link(this);
  return *this;
}

HttpResponder::~HttpResponder() { settle(); }

void HttpResponder::settle() {
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->drop(streaming_);
}

void HttpResponder::respond(const HttpResponse& response) {
  VERGE_ASSERT(!answered_ && !streaming_);
  answered_ = true;
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->respond(response);
}

void HttpResponder::respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) {
  VERGE_ASSERT(!answered_ && !streaming_);
  answered_ = true;
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->respond_prepared(head, body, offset, size);
}

void HttpResponder::send_interim(int status, std::span<const HttpField> fields) {
  VERGE_ASSERT(!answered_ && !streaming_ && status >= 100 && status < 200 && status != 101);
  if (exchange_ != nullptr) exchange_->send_interim(status, fields);
}

void HttpResponder::start(const HttpResponseHead& head, const BodyFraming& framing) {
  VERGE_ASSERT(!answered_ && !streaming_ && head.status >= 200);
  streaming_ = true;
  if (exchange_ != nullptr) exchange_->start(head, framing);
}

bool HttpResponder::is_for_old_client() const { return exchange_ != nullptr && exchange_->is_old(); }

void HttpResponder::switch_protocols(const HttpResponseHead& head, RawObserver& observer) {
  VERGE_ASSERT(!answered_ && !streaming_ && head.status == 101);
  streaming_ = true;
  if (exchange_ != nullptr) exchange_->switch_protocols(head, observer);
}

void HttpResponder::pause_reading() {
  if (exchange_ != nullptr) exchange_->pause_raw(true);
}

void HttpResponder::resume_reading() {
  if (exchange_ != nullptr) exchange_->pause_raw(false);
}

void HttpResponder::start_stream(const HttpResponse& response) {
  VERGE_ASSERT(!answered_ && !streaming_);
  streaming_ = true;
  if (exchange_ != nullptr) exchange_->start_stream(response);
}

void HttpResponder::write(std::string_view piece) {
  VERGE_ASSERT(streaming_ && !answered_);
  if (exchange_ != nullptr) exchange_->write_piece(piece);
}

void HttpResponder::write(const Payload& bytes, size_t offset, size_t size) {
  VERGE_ASSERT(streaming_ && !answered_);
  if (exchange_ != nullptr) exchange_->write_piece(bytes, offset, size);
}

void HttpResponder::finish(std::span<const HttpField> trailers) {
  VERGE_ASSERT(streaming_ && !answered_);
  answered_ = true;
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->finish_stream(trailers);
}

size_t HttpResponder::queued_bytes() const { return exchange_ == nullptr ? 0 : exchange_->queued_bytes(); }

void HttpResponder::when_drained(std::function<void()> drained) {
  if (exchange_ != nullptr) exchange_->when_drained(std::move(drained));
}

void HttpResponder::when_closed(std::function<void()> closed) {
  if (exchange_ != nullptr) exchange_->when_closed(std::move(closed));
}

}  // namespace verge::net
