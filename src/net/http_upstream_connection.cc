#include "net/http_upstream_connection.h"

#include <utility>

#include <fmt/format.h>

#include "base/assert.h"

namespace verge::net {

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, const Address& address, Socket socket)
    : pool_(pool),
      address_(address),
      loop_(pool.loop_),
      stream_(pool.loop_, std::move(socket), *this),
      reader_(pool.limits_.head),
      draining_(pool.loop_),
      timer_(pool.loop_) {}

UpstreamConnection::~UpstreamConnection() { shut(); }

void UpstreamConnection::carry(PooledCall& call) {
  call_ = &call;
  call.connection_ = this;
  reused_ = std::exchange(carried_, true);
  reader_.begin(call.method_, call.takes_upgrade_);
  pool_.counters_.requests.add();
  stream_.write(call.outgoing_);
  if (!call.may_be_repeated()) call.outgoing_ = {};
  if (call.paused_) stream_.pause_reading();
  wrote();
}

void UpstreamConnection::rest() {
  reader_.begin({});
  set_deadline(pool_.limits_.idle_connection_max);
}

void UpstreamConnection::shut() {
  if (call_ != nullptr) detach(/*is_over=*/true);
  stream_.close();
  timer_.cancel();
  draining_.cancel();
  loop_.forget_turn_end(*this);
}

PooledCall& UpstreamConnection::detach(bool is_over) {
  PooledCall& call = *std::exchange(call_, nullptr);
  call.connection_ = nullptr;
  if (is_over) call.end();
  return call;
}

void UpstreamConnection::wrote() {
  if (!reader_.has_begun()) set_deadline(pool_.limits_.head_timeout);
  if (!call_->body_complete_) loop_.at_turn_end(*this);
}

void UpstreamConnection::pause(bool paused) {
  if (paused) return stream_.pause_reading();
  stream_.resume_reading();
  set_deadline(reader_.has_begun() ? pool_.limits_.idle_timeout : pool_.limits_.head_timeout);
}

void UpstreamConnection::end_when_sent() {
  if (call_->paused_) stream_.resume_reading();
  detach(/*is_over=*/true);
  ending_ = true;
  set_deadline(pool_.limits_.idle_timeout);
  loop_.at_turn_end(*this);
}

void UpstreamConnection::on_bytes(std::string_view bytes) {
  if (ending_) return;
  if (call_ == nullptr) return pool_.remove(*this);  // nobody asked
  set_deadline(pool_.limits_.idle_timeout);
  while (true) {
    const AnswerReader::Step step = reader_.next(bytes);
    bytes.remove_prefix(step.consumed);
    switch (step.progress) {
      case AnswerReader::Progress::kNeedMore:
        return;
      case AnswerReader::Progress::kInterim:
        call_->observer_.on_interim(reader_.head());
        break;
      case AnswerReader::Progress::kHead:
        begin_body();
        call_->observer_.on_head(reader_.head(), reader_.framing());
        break;
      case AnswerReader::Progress::kPiece:
        call_->observer_.on_body(step.piece);
        break;
      case AnswerReader::Progress::kDone:
        return complete(!bytes.empty());
      case AnswerReader::Progress::kRefused:
        return fail({.code = "http.bad-answer",
                     .what = fmt::format("the answer of {} was refused: {}", address_.text(), reader_.problem()),
                     .fix = {}});
    }
    if (call_ == nullptr) return;
  }
}

void UpstreamConnection::begin_body() {
  if (!reader_.has_switched()) return;
  call_->raw_ = true;
  call_->body_complete_ = false;
}

void UpstreamConnection::complete(bool has_surplus) {
  const bool sent = call_->body_complete_ && stream_.queued_bytes() == 0;
  const bool keeps = !has_surplus && sent && reader_.keeps_connection() && stream_.is_open();
  if (call_->paused_) stream_.resume_reading();
  UpstreamObserver& observer = detach(/*is_over=*/true).observer_;
  const std::string trailers = reader_.take_trailers();
  if (keeps) {
    pool_.take_back(*this);
  } else {
    pool_.remove(*this);
  }
  observer.on_end(trailer_fields(trailers));
}

void UpstreamConnection::fail(Error error) {
  UpstreamObserver& observer = detach(/*is_over=*/true).observer_;
  pool_.counters_.failures.add();
  pool_.remove(*this);
  observer.on_failed(error);
}

void UpstreamConnection::on_closed(std::string_view reason) {
  if (call_ == nullptr) return pool_.remove(*this);
  if (reader_.ends_with_connection() && !stream_.was_cut()) return complete(/*has_surplus=*/false);
  if (reused_ && !reader_.has_begun() && call_->may_be_repeated()) {
    pool_.repeat(detach(/*is_over=*/false));
    return pool_.remove(*this);
  }
  fail({.code = "http.closed",
        .what = fmt::format("the connection to {} ended before the answer: {}", address_.text(), reason),
        .fix = {}});
}

void UpstreamConnection::on_turn_end() {
  // A turn later, when the stream has tried to send it and so that a fast origin cannot keep the loop to itself.
  draining_.after(Duration(1), [this] { tell_drained(); });
}

void UpstreamConnection::on_drained() { tell_drained(); }

void UpstreamConnection::tell_drained() {
  if (stream_.queued_bytes() > 0) return;
  if (ending_) return pool_.remove(*this);
  if (call_ != nullptr && !call_->body_complete_) call_->observer_.on_request_drained();
}

void UpstreamConnection::set_deadline(Duration from_now) {
  deadline_ = loop_.now() + from_now;
  if (timer_.pending() && timer_at_ <= deadline_) return;
  timer_at_ = deadline_;
  timer_.after(from_now, [this] { on_deadline(); });
}

void UpstreamConnection::on_deadline() {
  const Duration left = deadline_ - loop_.now();
  if (left > Duration(0)) return set_deadline(left);
  const UpstreamLimits& limits = pool_.limits_;
  const bool queued = stream_.queued_bytes() > 0;
  const bool progress = queued && std::exchange(sent_bytes_, stream_.sent_bytes()) != stream_.sent_bytes();
  if (ending_ && progress) return set_deadline(limits.idle_timeout);
  if (call_ == nullptr) return pool_.remove(*this);
  const bool begun = reader_.has_begun();
  // Waits for those who ask, not for the origin.
  const bool ours = !queued && (call_->paused_ || !call_->body_complete_);
  if (progress || ours) return set_deadline(begun ? limits.idle_timeout : limits.head_timeout);
  fail({.code = "http.timeout",
        .what = fmt::format("{} {}", address_.text(), begun ? "stopped in its answer" : "did not answer in time"),
        .fix = "check the load of that server and the network between"});
}

}  // namespace verge::net
