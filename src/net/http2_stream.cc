#include "net/http2_stream.h"

#include <utility>

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "base/assert.h"
#include "base/text.h"
#include "net/http2_connection.h"

namespace verge::net {
namespace {

// Memory of heads and bodies above this is given back when a stream is over.
constexpr size_t kKeepBytes = 4U << 10;

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

std::string_view next_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find("\r\n"));
  text.remove_prefix(std::min(text.size(), line.size() + 2));
  return line;
}

}  // namespace

void Http2Stream::open(Http2Connection& connection, int32_t id) {
  connection_ = &connection;
  id_ = id;
}

void Http2Stream::forget() {
  forget_body();
  state_ = State::kHead;
  is_head_ = request_ended_ = bodiless_answer_ = finished_ = deferred_ = resetting_ = drain_due_ = false;
  body_left_ = kAnyLength;
  out_.clear();
  trailers_.clear();
  drained_ = nullptr;
  closed_ = nullptr;
  head_.shrink(kKeepBytes);
  connection_ = nullptr;
}

void Http2Stream::forget_body() {
  if (body_.empty()) return;
  connection_->server_.body_room_.give_back(connection_->stream_->peer(), body_.size());
  std::string().swap(body_);
}

// --- Whole answers

void Http2Stream::begin_head(int status, std::span<const HttpField> fields, bool adds_date) {
  const char digits[3] = {static_cast<char>('0' + status / 100 % 10), static_cast<char>('0' + status / 10 % 10),
                          static_cast<char>('0' + status % 10)};
  connection_->begin_head({digits, 3});
  if (adds_date && !find_field(fields, "date")) connection_->add_field("date", connection_->server_.date());
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, "content-length")) connection_->add_field(field.name, field.value);
  }
}

void Http2Stream::add_length(uint64_t length) {
  connection_->length_ = fmt::format_int(length).str();
  connection_->add_field("content-length", connection_->length_);
}

void Http2Stream::respond(const HttpResponse& response) {
  if (!can_be_written(response)) return respond_internal("the answer has a field that cannot be written");
  begin_head(response.status, response.fields, /*adds_date=*/true);
  if (!response.content_type.empty()) connection_->add_field("content-type", response.content_type);
  if (!has_no_body(response.status)) {
    add_length(response.body.size());
    if (!is_head_) out_.text().append(response.body);
  }
  finished_ = true;
  connection_->submit_head(*this, !out_.empty());
  end_exchange();
}

void Http2Stream::respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) {
  connection_->begin_head(next_line(head).substr(9, 3));
  while (!head.empty()) {
    const std::string_view line = next_line(head);
    const size_t colon = std::min(line.find(':'), line.size() - 1);
    connection_->add_field(line.substr(0, colon), line.substr(colon + 1));
  }
  if (!is_head_ && size > 0) out_.share(body, offset, size);
  finished_ = true;
  connection_->submit_head(*this, !out_.empty());
  end_exchange();
}

void Http2Stream::send_interim(int status, std::span<const HttpField> fields) {
  if (!can_be_written(fields) || connection_->full_) return;
  begin_head(status, fields, /*adds_date=*/false);
  connection_->submit_interim(*this);
}

void Http2Stream::respond_internal(std::string_view what) {
  refuse(500, Error{"http.internal", std::string(what), "please report this"});
}

void Http2Stream::note_refusal(int status) {
  HttpServer& server = connection_->server_;
  if (!server.refusal_receiver_) return;
  const Http2RequestHead& head = state_ == State::kBody ? head_ : connection_->head_;
  server.refusal_receiver_({.peer = connection_->stream_->peer(),
                            .status = status,
                            .method = head.method(),
                            .target = head.target(),
                            .host = head.host(),
                            .protocol = "HTTP/2.0"});
}

void Http2Stream::refuse(int status, std::string_view reason) {
  note_refusal(status);
  refuse(status,
         Error{"http.refused", std::string(reason), "send a well-formed request within the limits of this server"});
}

void Http2Stream::refuse_long_body() {
  note_refusal(413);
  const std::string name = body_limit_.name.empty() ? "" : fmt::format(" ({})", body_limit_.name);
  refuse(413, Error{"http.too-large", fmt::format("the body has more than {} bytes{}", body_limit_.bytes_max, name),
                    "send it in several requests"});
}

void Http2Stream::refuse(int status, const Error& error) {
  forget_body();
  state_ = State::kAnswering;
  const std::string text = error_json(error) + "\n";
  HttpResponse response{.status = status, .content_type = "application/json", .fields = {}, .body = text};
  if (status == 503) response.fields.push_back({"Retry-After", "1"});
  respond(response);
}

// --- Answers in pieces

void Http2Stream::start_stream(const HttpResponse& response) {
  const HttpResponse bad_field{.status = 500, .content_type = {}, .fields = {}, .body = {}};
  const HttpResponse& written = can_be_written(response) ? response : bad_field;
  bodiless_answer_ = is_head_ || has_no_body(written.status);
  begin_head(written.status, written.fields, /*adds_date=*/true);
  if (!written.content_type.empty()) connection_->add_field("content-type", written.content_type);
  connection_->submit_head(*this, /*has_body=*/true);
  write_piece(response.body);
}

void Http2Stream::start(const HttpResponseHead& head, const BodyFraming& framing) {
  using Kind = BodyFraming::Kind;
  const HttpResponseHead bad_field{.status = 500, .reason = {}, .fields = {}};
  const HttpResponseHead& written = can_be_written(head) ? head : bad_field;
  const bool never = has_no_body(written.status);
  bodiless_answer_ = is_head_ || never;
  begin_head(written.status, written.fields, written.adds_date);
  const bool has_length = framing.kind == Kind::kLength || (framing.kind == Kind::kNone && !is_head_);
  const uint64_t length = framing.kind == Kind::kLength ? framing.length : 0;
  if (has_length && !never) add_length(length);
  if (has_length && !bodiless_answer_) body_left_ = length;
  connection_->submit_head(*this, /*has_body=*/true);
}

bool Http2Stream::begin_piece(size_t size) {
  if (size == 0 || bodiless_answer_ || resetting_) return false;
  if (body_left_ != kAnyLength) {
    VERGE_ASSERT(size <= body_left_);
    body_left_ -= size;
  }
  if (out_.empty()) {
    moved_at_ = connection_->server_.loop_.now();
    connection_->arm(moved_at_ + connection_->server_.limits_.idle_timeout);
  }
  return true;
}

void Http2Stream::go_on() {
  if (drained_) drain_due_ = connection_->drains_due_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(connection_->session_, id_);
  connection_->schedule();
}

void Http2Stream::write_piece(std::string_view piece) {
  if (!begin_piece(piece.size())) return;
  out_.text().append(piece);
  go_on();
}

void Http2Stream::write_piece(const Payload& bytes, size_t offset, size_t size) {
  if (!begin_piece(size)) return;
  out_.share(bytes, offset, size);
  go_on();
}

void Http2Stream::finish_stream(std::span<const HttpField> trailers) {
  // The client must not take a part for the whole.
  if (body_left_ != kAnyLength && body_left_ > 0) return drop(/*streaming=*/true);
  if (!bodiless_answer_ && can_be_written(trailers)) {
    for (const auto& [name, value] : trailers) {
      const bool frames = equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "trailer") ||
                          equals_ignoring_case(name, "host");
      if (!frames) trailers_.emplace_back(name, value);
    }
  }
  finished_ = true;
  go_on();
  end_exchange();
}

void Http2Stream::drop(bool streaming) {
  if (!streaming) return respond_internal("no answer was made");
  end_exchange();
  reset(NGHTTP2_INTERNAL_ERROR);
}

void Http2Stream::reset(uint32_t code) {
  if (std::exchange(resetting_, true)) return;
  nghttp2_submit_rst_stream(connection_->session_, NGHTTP2_FLAG_NONE, id_, code);
  connection_->schedule();
}

void Http2Stream::switch_protocols(const HttpResponseHead&, RawObserver& observer) {
  closed_ = [&observer] { observer.on_raw_end(); };
  bodiless_answer_ = true;
  reset(NGHTTP2_HTTP_1_1_REQUIRED);
}

// Nothing is ever switched.
void Http2Stream::pause_raw(bool) {}

void Http2Stream::when_drained(std::function<void()> drained) {
  drained_ = std::move(drained);
  if (!drained_ || out_.empty()) return;
  drain_due_ = connection_->drains_due_ = true;
  connection_->schedule();
}

void Http2Stream::end_exchange() {
  responder_ = nullptr;
  drained_ = nullptr;
  closed_ = nullptr;
}

}  // namespace verge::net
