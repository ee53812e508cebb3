// Answers whose body comes in pieces, and connections that change to another protocol.
#include <utility>

#include "base/assert.h"
#include "net/http_connection.h"

namespace verge::net {

void HttpConnection::start_stream(const HttpResponse& response) {
  const HttpResponse bad_field{.status = 500, .content_type = {}, .fields = {}, .body = {}};
  const HttpResponse& written = can_be_written(response) ? response : bad_field;
  write_head(written, begin_body(written.status, {.kind = BodyFraming::Kind::kChunked}));
  write_piece(response.body);
}

BodyFraming HttpConnection::begin_body(int status, const BodyFraming& wanted) {
  using Kind = BodyFraming::Kind;
  const bool never = status < 200 || status == 204 || status == 304;
  bodiless_answer_ = is_head_ || never;
  BodyFraming framing = wanted;
  if (never) {
    framing = {};
  } else if (wanted.kind == Kind::kChunked || wanted.kind == Kind::kUntilClose) {
    framing.kind = is_head_ ? Kind::kNone : is_old_ ? Kind::kUntilClose : Kind::kChunked;
  } else if (wanted.kind == Kind::kNone && !is_head_) {
    framing = {.kind = Kind::kLength, .length = 0};
  }
  chunked_answer_ = framing.kind == Kind::kChunked;
  until_close_answer_ = framing.kind == Kind::kUntilClose;
  body_left_ = framing.kind == Kind::kLength && !bodiless_answer_ ? framing.length : kAnyLength;
  return framing;
}

void HttpConnection::start(const HttpResponseHead& head, const BodyFraming& wanted) {
  const HttpResponseHead bad_field{.status = 500, .reason = {}, .fields = {}};
  const HttpResponseHead& written = can_be_written(head) ? head : bad_field;
  const BodyFraming framing = begin_body(written.status, wanted);
  if (server_.draining_ || until_close_answer_) keep_alive_ = false;
  const std::string_view connection = !keep_alive_ ? "close" : is_old_ ? "keep-alive" : "";
  std::string& text = server_.head_scratch_;
  text.clear();
  append_response_head(text, written, framing, connection, server_.date());
  send(text);
}

bool HttpConnection::begin_piece(size_t size) {
  if (size == 0 || bodiless_answer_) return false;
  if (body_left_ != kAnyLength) {
    VERGE_ASSERT(size <= body_left_);
    body_left_ -= size;
  }
  if (chunked_answer_) {
    std::string& line = server_.head_scratch_;
    line.clear();
    append_chunk_size(line, size);
    send(line);
  }
  return true;
}

void HttpConnection::write_piece(std::string_view piece) {
  if (!begin_piece(piece.size())) return;
  send(piece);
  end_piece();
}

void HttpConnection::write_piece(const Payload& bytes, size_t offset, size_t size) {
  if (!begin_piece(size)) return;
  written_bytes_ += size;
  stream_->write(bytes, offset, size);
  end_piece();
}

void HttpConnection::end_piece() {
  if (chunked_answer_) send("\r\n");
  if (drained_) server_.loop_.at_turn_end(*this);
  if (deadline_ == MonotonicTime::max()) set_deadline(server_.limits_.idle_timeout);
}

void HttpConnection::finish_stream(std::span<const HttpField> trailers) {
  // The client must not take a part for the whole.
  if (body_left_ != kAnyLength && body_left_ > 0) return drop(/*streaming=*/true);
  if (chunked_answer_) {
    std::string& text = server_.head_scratch_;
    text.clear();
    append_last_chunk(text, trailers);
    send(text);
  }
  if (std::exchange(raw_paused_, false)) stream_->resume_reading();
  end_exchange();
}

void HttpConnection::switch_protocols(const HttpResponseHead& head, RawObserver& observer) {
  keep_alive_ = false;
  closed_ = [&observer] { observer.on_raw_end(); };
  server_.loop_.at_turn_end(*this);
  if (is_old_ || !can_be_written(head)) {
    bodiless_answer_ = true;
    state_ = State::kClosing;
    return;
  }
  std::string& text = server_.head_scratch_;
  text.clear();
  append_response_head(text, head, {}, "upgrade", server_.date());
  send(text);
  state_ = State::kRaw;
  raw_ = &observer;
  if (std::exchange(paused_, false)) stream_->resume_reading();
}

void HttpConnection::take_raw(std::string_view bytes) {
  if (!input_.empty()) {  // in order: at the end of the turn, or when reading goes on
    input_.append(bytes);
    return;
  }
  raw_->on_raw_bytes(bytes);
}

void HttpConnection::give_raw_input() {
  if (raw_paused_ || input_.empty()) return;
  const std::string bytes = std::exchange(input_, {});
  raw_->on_raw_bytes(bytes);
}

void HttpConnection::pause_raw(bool paused) {
  if (state_ != State::kRaw) return;
  raw_paused_ = paused;
  if (paused) return stream_->pause_reading();
  stream_->resume_reading();
  if (!input_.empty()) server_.loop_.at_turn_end(*this);
}

}  // namespace verge::net
