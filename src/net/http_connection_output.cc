#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_connection.h"

namespace verge::net {

void HttpConnection::send(std::string_view bytes) {
  written_bytes_ += bytes.size();
  stream_->write(bytes);
}

void HttpConnection::write_head(const HttpResponse& response, const BodyFraming& framing) {
  if (server_.draining_ || framing.kind == BodyFraming::Kind::kUntilClose) keep_alive_ = false;
  const std::string_view connection = !keep_alive_ ? "close" : is_old_ ? "keep-alive" : "";
  std::string& text = server_.head_scratch_;
  text.clear();
  append_response_head(text, response, framing, connection, server_.date());
  send(text);
}

void HttpConnection::respond(const HttpResponse& response) {
  if (!can_be_written(response)) return respond_internal("the answer has a field that cannot be written");
  const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  if (bodiless) {
    write_head(response, {});
  } else {
    write_head(response, {.kind = BodyFraming::Kind::kLength, .length = response.body.size()});
    if (!is_head_) send(response.body);
  }
  end_exchange();
}

void HttpConnection::respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) {
  if (server_.draining_) keep_alive_ = false;
  std::string& out = stream_->output();
  const size_t before = out.size();
  out.append(head);
  if (!keep_alive_) {
    out.append("Connection: close\r\n");
  } else if (is_old_) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
  written_bytes_ += out.size() - before;
  if (!is_head_ && size > 0) {
    written_bytes_ += size;
    stream_->write(body, offset, size);
  }
  end_exchange();
}

void HttpConnection::send_interim(int status, std::span<const HttpField> fields) {
  if (is_old_ || !can_be_written(fields) || queued_bytes() > server_.limits_.output_bytes_max) return;
  std::string& text = server_.head_scratch_;
  text.clear();
  append_response_head(text, HttpResponseHead{.status = status, .reason = {}, .fields = fields, .adds_date = false}, {},
                       {}, {});
  send(text);
}

void HttpConnection::respond_internal(std::string_view what) {
  const std::string body = error_json({"http.internal", std::string(what), "please report this"}) + "\n";
  respond({.status = 500, .content_type = "application/json", .fields = {}, .body = body});
}

void HttpConnection::when_drained(std::function<void()> drained) {
  drained_ = std::move(drained);
  if (drained_ && queued_bytes() > 0) server_.loop_.at_turn_end(*this);
}

void HttpConnection::tell_drained() {
  if (!is_answering() || !drained_ || queued_bytes() > 0) return;
  draining_.cancel();
  const std::function<void()> drained = drained_;  // it may finish the answer and so forget itself
  drained();
}

void HttpConnection::drop(bool streaming) {
  if (!streaming) return respond_internal("no answer was made");
  responder_ = nullptr;
  closed_ = nullptr;
  if (until_close_answer_) stream_->cut();
  end();
}

void HttpConnection::end_exchange() {
  responder_ = nullptr;
  drained_ = nullptr;
  draining_.cancel();
  closed_ = nullptr;
  chunked_answer_ = false;
  bodiless_answer_ = false;
  until_close_answer_ = false;
  body_left_ = kAnyLength;
  is_head_ = false;
  if (server_.draining_) keep_alive_ = false;  // a stream may have begun before
  state_ = keep_alive_ ? State::kHead : State::kClosing;
  set_deadline(server_.limits_.idle_timeout);
  if (!keep_alive_ || (!consuming_ && !input_.empty())) server_.loop_.at_turn_end(*this);
}

void HttpConnection::note_refusal(int status) {
  if (!server_.refusal_receiver_) return;
  RefusedRequest refused{.peer = stream_->peer(), .status = status, .protocol = is_old_ ? "HTTP/1.0" : "HTTP/1.1"};
  if (knows_head_) {
    const RequestHead& head = parser_.head();
    refused.method = head.method;
    refused.target = head.target;
    refused.host = parser_.host();
  }
  server_.refusal_receiver_(refused);
}

void HttpConnection::refuse(int status, std::string_view reason) {
  note_refusal(status);
  refuse(status,
         Error{"http.refused", std::string(reason), "send a well-formed request within the limits of this server"});
}

void HttpConnection::refuse_long_body() {
  note_refusal(413);
  const std::string name = body_limit_.name.empty() ? "" : fmt::format(" ({})", body_limit_.name);
  refuse(413, Error{"http.too-large", fmt::format("the body has more than {} bytes{}", body_limit_.bytes_max, name),
                    "send it in several requests"});
}

void HttpConnection::refuse(int status, const Error& error) {
  keep_alive_ = false;
  const std::string text = error_json(error) + "\n";
  HttpResponse response{.status = status, .content_type = "application/json", .fields = {}, .body = {}};
  if (status == 503) response.fields.push_back({"Retry-After", "1"});
  write_head(response, {.kind = BodyFraming::Kind::kLength, .length = text.size()});
  if (!is_head_) send(text);
  forget_body();
  state_ = State::kLingering;
  set_deadline(server_.limits_.linger);
}

void HttpConnection::close_soon() {
  if (state_ == State::kAnswering) return;
  if (state_ == State::kHead && input_.empty()) {
    state_ = State::kClosing;
    server_.loop_.at_turn_end(*this);
  }
  set_deadline(server_.limits_.drain_grace);
}

void HttpConnection::end() {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  timer_.cancel();
  draining_.cancel();
  stream_->close();
  forget_responder();
  server_.remove(*this);
  const std::function<void()> closed = std::exchange(closed_, nullptr);
  if (closed) closed();
}

void HttpConnection::set_deadline(Duration from_now) {
  if (server_.draining_ && state_ != State::kAnswering) {
    // However slowly a request comes, the server does not wait for it again.
    const bool comes = state_ == State::kHead || state_ == State::kBody;
    from_now = std::min(from_now, comes ? server_.drain_until_ - server_.loop_.now() : server_.limits_.drain_grace);
  }
  deadline_ = server_.loop_.now() + from_now;
  if (timer_.pending() && timer_at_ <= deadline_) return;
  timer_at_ = deadline_;
  timer_.after(from_now, [this] { on_deadline(); });
}

void HttpConnection::on_deadline() {
  if (deadline_ == MonotonicTime::max()) return;  // whoever sets the next one starts the timer
  const Duration left = deadline_ - server_.loop_.now();
  if (left > Duration(0)) return set_deadline(left);
  const size_t queued = stream_->queued_bytes();
  const uint64_t taken = written_bytes_ - queued;
  const bool progress = queued > 0 && std::exchange(taken_bytes_, taken) != taken;
  if (server_.draining_ && state_ != State::kAnswering && !progress) return end();
  switch (state_) {
    case State::kHead:
      if (head_begun_) return refuse(408, "the head did not come in time");
      [[fallthrough]];
    case State::kClosing:
      return progress ? set_deadline(server_.limits_.idle_timeout) : end();
    case State::kBody:
      return refuse(408, "the body did not come in time");
    case State::kAnswering:
    case State::kRaw:
      if (queued > 0 && !progress) return end();
      deadline_ = MonotonicTime::max();
      if (queued > 0) set_deadline(server_.limits_.idle_timeout);
      return;
    case State::kLingering:
      return end();
    case State::kEnded:
      return;
  }
}

}  // namespace verge::net
