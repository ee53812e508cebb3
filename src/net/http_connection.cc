#include "net/http_connection.h"

#include <algorithm>
#include <utility>

#include "net/http2_connection.h"

namespace verge::net {
namespace {

// For a body whose length is announced room is made ahead for this many times what came of it.
constexpr uint64_t kRoomAhead = 4;

}  // namespace

HttpConnection::HttpConnection(HttpServer& server, Socket socket, size_t index_in_server)
    : HttpServerConnection(index_in_server),
      server_(server),
      stream_(server.make_stream_(server.loop_, std::move(socket), *this)),
      parser_(server.limits_.head),
      timer_(server.loop_),
      draining_(server.loop_) {
  set_deadline(server_.limits_.idle_timeout);
}

HttpConnection::~HttpConnection() {
  forget_body();
  server_.loop_.forget_turn_end(*this);
  forget_responder();
}

void HttpConnection::on_bytes(std::string_view bytes) {
  if (discards()) return;
  if (state_ == State::kRaw) return take_raw(bytes);
  if (!input_.empty()) {
    input_.append(bytes);
    return continue_input();
  }
  const size_t used = consume(bytes);
  if (!discards()) input_.assign(bytes.substr(used));
  after_input();
}

void HttpConnection::continue_input() {
  const size_t used = consume(input_);
  input_.erase(0, used);
  after_input();
}

size_t HttpConnection::consume(std::string_view bytes) {
  size_t used = 0;
  consuming_ = true;
  while (used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    if (state_ == State::kBody) {
      used += take_body(rest);
      continue;
    }
    if (state_ != State::kHead) break;
    if (stream_->queued_bytes() > server_.limits_.output_bytes_max) {
      output_full_ = true;
      server_.loop_.at_turn_end(*this);
      break;
    }
    if (std::exchange(parser_spent_, false)) parser_.reset();
    knows_head_ = false;
    const HeadProgress progress = parser_.parse(rest);
    if (progress == HeadProgress::kNeedMore) break;
    if (progress == HeadProgress::kRefused) {
      if (change_to_http2(rest)) return bytes.size();
      refuse(parser_.fault().status, parser_.fault().reason);
      break;
    }
    used += begin_request(rest);
  }
  consuming_ = false;
  return used;
}

// The parser refuses the first line of HTTP/2 as a version that it does not know.
bool HttpConnection::change_to_http2(std::string_view bytes) {
  if (!is_fresh_ || stream_->is_secure() || !bytes.starts_with(kHttp2FirstLine)) return false;
  state_ = State::kEnded;
  consuming_ = false;
  timer_.cancel();
  server_.change_to_http2(*this, std::move(stream_), bytes);
  return true;
}

void HttpConnection::after_input() {
  const bool discarding = discards();
  if (input_.empty() || discarding) std::string().swap(input_);
  if (state_ == State::kBody) {
    set_deadline(body_due_ - server_.loop_.now());
  }
  if (state_ == State::kHead && !input_.empty() && !output_full_ && !head_begun_) {
    head_begun_ = true;
    set_deadline(server_.limits_.head_timeout);
  }
  const bool waits = state_ == State::kAnswering || output_full_;
  const bool pause = waits && !discarding && input_.size() >= server_.limits_.pipelined_bytes_max;
  if (pause == paused_) return;
  paused_ = pause;
  if (pause) {
    stream_->pause_reading();
  } else {
    stream_->resume_reading();
  }
}

size_t HttpConnection::begin_request(std::string_view bytes) {
  const RequestHead& head = parser_.head();
  head_begun_ = false;
  knows_head_ = true;
  is_fresh_ = false;
  is_head_ = head.method == "HEAD";
  is_old_ = head.minor_version == 0;
  keep_alive_ = keeps_alive(head.minor_version, head.fields);
  const size_t head_bytes = parser_.head_bytes();
  if (refuse_by_head() || !admit()) return head_bytes;

  const BodyFraming framing = parser_.framing();
  if (framing.length > body_limit_.bytes_max) {
    refuse_long_body();
    return head_bytes;
  }
  const std::string_view rest = bytes.substr(head_bytes);
  if (framing.kind == BodyFraming::Kind::kNone) {
    deliver({});
    return head_bytes;
  }
  if (framing.kind == BodyFraming::Kind::kLength && framing.length <= rest.size()) {
    deliver(Payload(rest.substr(0, framing.length)));
    return head_bytes + framing.length;
  }
  head_text_.assign(bytes.substr(0, head_bytes));
  parser_.reset();
  parser_.parse(head_text_);
  if (rest.empty() && !is_old_ && find_field(head.fields, "expect")) send("HTTP/1.1 100 Continue\r\n\r\n");
  chunks_.reset();
  state_ = State::kBody;
  body_due_ = server_.loop_.now() + server_.limits_.body_timeout;
  return head_bytes;
}

bool HttpConnection::refuse_by_head() {
  const RequestHead& head = parser_.head();
  if (head.method == "CONNECT") {
    refuse(501, "this server opens no tunnels");
    return true;
  }
  if (const auto expectation = find_field(head.fields, "expect");
      expectation && !is_old_ && !equals_ignoring_case(*expectation, "100-continue")) {
    refuse(417, "the only expectation that is met is 100-continue");
    return true;
  }
  return false;
}

bool HttpConnection::admit() {
  body_limit_ = {.bytes_max = server_.limits_.body_bytes_max, .name = {}};
  if (!server_.head_receiver_) return true;
  const BodyFraming framing = parser_.framing();
  const bool has_body = framing.kind == BodyFraming::Kind::kChunked || framing.length > 0;
  const bool keeps_alive = std::exchange(keep_alive_, keep_alive_ && !has_body);
  HttpResponder responder(*this);
  if (const std::optional<BodyLimit> limit = server_.head_receiver_(request({}), responder)) {
    forget_responder();  // unused: the request gets another when it is whole
    keep_alive_ = keeps_alive;
    body_limit_ = *limit;
    return true;
  }
  parser_spent_ = true;
  if (has_body && state_ != State::kEnded) {
    state_ = State::kLingering;
    set_deadline(server_.limits_.linger);
  }
  return false;
}

size_t HttpConnection::take_body(std::string_view bytes) {
  if (parser_.framing().kind == BodyFraming::Kind::kChunked) return take_chunks(bytes);
  const uint64_t length = parser_.framing().length;
  const size_t taken = std::min(bytes.size(), static_cast<size_t>(length) - body_.size());
  const uint64_t wanted = std::min(length, kRoomAhead * (body_.size() + taken));
  if (body_.capacity() < body_.size() + taken) body_.reserve(wanted);
  if (append_body(bytes.substr(0, taken)) && body_.size() == length) deliver_gathered();
  return taken;
}

bool HttpConnection::append_body(std::string_view piece) {
  if (const auto refusal = server_.body_room_.take(stream_->peer(), piece.size())) {
    refuse(503, *refusal);
    return false;
  }
  body_.append(piece);
  body_due_ = server_.limits_.body_due(body_due_, piece.size(), server_.loop_.now());
  return true;
}

void HttpConnection::forget_body() {
  if (body_.empty()) return;
  server_.body_room_.give_back(stream_->peer(), body_.size());
  std::string().swap(body_);
}

size_t HttpConnection::take_chunks(std::string_view bytes) {
  const ChunkedDecoder::Step step = chunks_.next(bytes);
  switch (step.progress) {
    case ChunkedDecoder::Progress::kNeedMore:
      break;
    case ChunkedDecoder::Progress::kPiece:
      if (step.piece.size() > body_limit_.bytes_max - body_.size()) {
        refuse_long_body();
      } else {
        append_body(step.piece);
      }
      break;
    case ChunkedDecoder::Progress::kDone:
      deliver_gathered();
      break;
    case ChunkedDecoder::Progress::kRefused:
      refuse(chunks_.fault().status, chunks_.fault().reason);
      break;
  }
  return step.consumed;
}

void HttpConnection::deliver_gathered() {
  Payload body(body_);
  forget_body();
  deliver(std::move(body));
  std::string().swap(head_text_);
}

void HttpConnection::deliver(Payload body) {
  state_ = State::kAnswering;
  deadline_ = MonotonicTime::max();
  parser_spent_ = true;
  server_.receiver_(request(std::move(body)), HttpResponder(*this));
}

HttpRequest HttpConnection::request(Payload body) const {
  const RequestHead& head = parser_.head();
  const TargetParts target = split_target(head.method, head.target);
  return {.method = head.method,
          .target = head.target,
          .host = parser_.host(),
          .path = target.path,
          .query = target.query,
          .fields = head.fields,
          .body = std::move(body),
          .peer = stream_->peer(),
          .peer_is_verified = stream_->peer_is_verified(),
          .is_secure = stream_->is_secure(),
          .protocol = head.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1"};
}

void HttpConnection::on_closed(std::string_view) { end(); }

void HttpConnection::on_drained() {
  if (state_ == State::kClosing) return end();
  if (output_full_) server_.loop_.at_turn_end(*this);
  tell_drained();
}

void HttpConnection::on_turn_end() {
  if (state_ == State::kClosing && stream_->queued_bytes() == 0) return end();
  if (state_ == State::kRaw) give_raw_input();
  if (is_answering() && drained_ && stream_->queued_bytes() == 0) {
    // A turn later, so that a fast client cannot keep the loop to itself.
    return draining_.after(Duration(1), [this] { tell_drained(); });
  }
  if (state_ != State::kHead) return;
  output_full_ = stream_->queued_bytes() > server_.limits_.output_bytes_max;
  if (!output_full_) continue_input();
}

}  // namespace verge::net
