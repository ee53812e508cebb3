#include "net/http2_upstream_connection.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "base/assert.h"

namespace verge::net {
namespace {

constexpr uint32_t kStreamWindow = 256U << 10;
constexpr int32_t kConnectionWindow = 8 << 20;
constexpr size_t kStreamsMax = 100;
constexpr size_t kOutputBytesMax = 256U << 10;
constexpr size_t kContinuationsMax = 8;

// Of one connection only, or made by libnghttp2 or us.
bool is_left_out(std::string_view name) {
  for (const std::string_view one : {"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding",
                                     "upgrade", "content-length", "http2-settings"}) {
    if (equals_ignoring_case(name, one)) return true;
  }
  return false;
}

nghttp2_nv pair(std::string_view name, std::string_view value) {
  // libnghttp2 copies both, the name in lower case, and changes neither.
  return {.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
          .namelen = name.size(),
          .valuelen = value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

std::string_view text_of(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

}  // namespace

// A head as it comes, field by field.
struct Http2UpstreamConnection::Head {
  int status = 0;
  size_t bytes = 0;
  bool too_long = false;
  Http2Call::Fields fields;

  void clear() {
    status = 0;
    bytes = 0;
    too_long = false;
    fields.clear();
  }
};

// What libnghttp2 calls. Where the connection has ended meanwhile it is told to stop.
struct Http2UpstreamCallbacks {
  static Http2UpstreamConnection& self(void* user) { return *static_cast<Http2UpstreamConnection*>(user); }
  static int verdict(const Http2UpstreamConnection& connection) {
    return connection.ended_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* made = nullptr;
    VERGE_ASSERT(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_send_callback(made, &send);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, &on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, &on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, &on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, &on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, &on_stream_close);
    return made;
  }

  static ssize_t send(nghttp2_session*, const uint8_t* bytes, size_t size, int, void* user) {
    Http2UpstreamConnection& connection = self(user);
    if (connection.stream_.queued_bytes() > kOutputBytesMax) {
      connection.full_ = true;
      return NGHTTP2_ERR_WOULDBLOCK;
    }
    connection.stream_.write(text_of(bytes, size));
    return static_cast<ssize_t>(size);
  }

  static ssize_t read_body(nghttp2_session* session, int32_t id, uint8_t* out, size_t most, uint32_t* flags,
                           nghttp2_data_source* source, void* user) {
    Http2UpstreamConnection& connection = self(user);
    Http2Call* call = connection.find(id);
    if (call == nullptr || call != source->ptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (call->body_.empty() && !call->body_complete_) {
      call->body_deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t size = call->body_.copy(reinterpret_cast<char*>(out), most);
    call->body_.erase(0, size);
    call->moved_at_ = connection.loop_.now();
    if (!call->body_.empty()) return static_cast<ssize_t>(size);
    if (!call->body_complete_) {
      call->drain_due_ = true;
      return static_cast<ssize_t>(size);
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!call->trailers_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> fields;
      for (const auto& [name, value] : call->trailers_) fields.push_back(pair(name, value));
      if (nghttp2_submit_trailer(session, id, fields.data(), fields.size()) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return static_cast<ssize_t>(size);
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
    self(user).head_->clear();
    return verdict(self(user));
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Http2UpstreamConnection& connection = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    Http2UpstreamConnection::Head& head = *connection.head_;
    const std::string_view key = text_of(name, name_size), text = text_of(value, value_size);
    if (key == ":status") {
      std::from_chars(text.data(), text.data() + text.size(), head.status);
      return 0;
    }
    constexpr size_t kFieldOverhead = 32;  // section 6.5.2
    head.bytes += key.size() + text.size() + kFieldOverhead;
    const HeadLimits& limits = connection.upstream_.limits_.head;
    if (head.bytes > limits.head_bytes_max || head.fields.size() >= limits.fields_max) {
      head.too_long = true;
    } else {
      head.fields.emplace_back(key, text);
    }
    return 0;
  }

  // Section 8.2.1: a field that is not valid makes the message malformed.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                               uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2UpstreamConnection& connection = self(user);
    if (connection.ended_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    Http2Call* call = connection.find(frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && call != nullptr) {
      connection.take_head(*call, ends);
    } else if (frame->hd.type == NGHTTP2_DATA && ends && call != nullptr) {
      connection.take_end(*call);
    }
    return verdict(connection);
  }

  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    Http2UpstreamConnection& connection = self(user);
    nghttp2_session_consume_connection(session, size);
    if (Http2Call* call = connection.find(id)) {
      connection.take_body(*call, text_of(bytes, size));
    } else {
      nghttp2_session_consume_stream(session, id, size);
    }
    return verdict(connection);
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Http2UpstreamConnection& connection = self(user);
    if (!connection.ended_) connection.stream_closed(id, code);
    return verdict(connection);
  }
};

Http2UpstreamConnection::Http2UpstreamConnection(Http2Upstream& upstream, const Address& address, Socket socket)
    : upstream_(upstream),
      address_(address),
      loop_(upstream.loop_),
      stream_(upstream.loop_, std::move(socket), *this),
      head_(std::make_unique<Head>()),
      idle_since_(upstream.loop_.now()),
      timer_(upstream.loop_),
      going_on_(upstream.loop_) {
  nghttp2_option* options = nullptr;
  VERGE_ASSERT(nghttp2_option_new(&options) == 0);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_continuations(options, kContinuationsMax);
  nghttp2_session_callbacks* callbacks = Http2UpstreamCallbacks::make();
  VERGE_ASSERT(nghttp2_session_client_new2(&session_, callbacks, this, options) == 0);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(options);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(upstream.limits_.head.head_bytes_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  VERGE_ASSERT(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  VERGE_ASSERT(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0);
  arm(idle_since_ + upstream.limits_.idle_connection_max);
  schedule();
}

Http2UpstreamConnection::~Http2UpstreamConnection() {
  shut();
  nghttp2_session_del(session_);
}

std::vector<Http2Call*> Http2UpstreamConnection::shut() {
  std::vector<Http2Call*> calls = std::exchange(calls_, {});
  for (Http2Call* call : calls) {
    nghttp2_session_set_stream_user_data(session_, call->id_, nullptr);
    call->connection_ = nullptr;
  }
  if (!std::exchange(ended_, true)) {
    stream_.close();
    timer_.cancel();
    going_on_.cancel();
    loop_.forget_turn_end(*this);
  }
  return calls;
}

bool Http2UpstreamConnection::has_room() const {
  const size_t allowed = nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return !ended_ && streams_ < std::min(allowed, kStreamsMax) && nghttp2_session_check_request_allowed(session_) != 0;
}

// --- Requests

void Http2UpstreamConnection::carry(Http2Call& call) {
  std::vector<nghttp2_nv> fields = {pair(":method", call.method_),
                                    pair(":scheme", stream_.is_secure() ? "https" : "http"),
                                    pair(":authority", call.authority_), pair(":path", call.target_)};
  const std::string length = fmt::format_int(call.framing_.length).str();
  if (call.framing_.kind == BodyFraming::Kind::kLength) fields.push_back(pair("content-length", length));
  for (const auto& [name, value] : call.fields_) {
    if (!is_left_out(name)) fields.push_back(pair(name, value));
  }
  const nghttp2_data_provider body{.source = {.ptr = &call}, .read_callback = &Http2UpstreamCallbacks::read_body};
  const bool has_body = call.framing_.kind != BodyFraming::Kind::kNone;
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), has_body ? &body : nullptr, &call);
  VERGE_ASSERT(id > 0);
  ++streams_;
  call.id_ = id;
  call.connection_ = this;
  call.moved_at_ = loop_.now();
  calls_.push_back(&call);
  upstream_.counters_.requests.add();
  arm(call.moved_at_ + upstream_.limits_.head_timeout);
  schedule();
}

void Http2UpstreamConnection::wrote(Http2Call& call) {
  if (std::exchange(call.body_deferred_, false)) nghttp2_session_resume_data(session_, call.id_);
  schedule();
}

void Http2UpstreamConnection::cancel(Http2Call& call) {
  const int32_t id = call.id_;
  detach(call);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  schedule();
}

void Http2UpstreamConnection::detach(Http2Call& call) {
  nghttp2_session_set_stream_user_data(session_, call.id_, nullptr);
  std::erase(calls_, &call);
  call.connection_ = nullptr;
  if (calls_.empty()) {
    idle_since_ = loop_.now();
    arm(idle_since_ + upstream_.limits_.idle_connection_max);
  }
}

Http2Call* Http2UpstreamConnection::find(int32_t id) const {
  return id == 0 ? nullptr : static_cast<Http2Call*>(nghttp2_session_get_stream_user_data(session_, id));
}

void Http2UpstreamConnection::schedule() {
  if (!inside_ && !ended_) loop_.at_turn_end(*this);
}

void Http2UpstreamConnection::on_turn_end() {
  if (!full_) return flush();
  // What the kernel did not take, on_drained() tells. Else a turn later, so that a fast origin cannot keep the loop.
  if (stream_.queued_bytes() <= kOutputBytesMax) going_on_.after(Duration(1), [this] { go_on(); });
}

void Http2UpstreamConnection::on_drained() {
  if (full_) flush();
}

void Http2UpstreamConnection::flush() {
  if (ended_ || inside_) return;
  full_ = false;
  inside_ = true;
  const int problem = nghttp2_session_send(session_);
  inside_ = false;
  if (ended_) return;
  if (problem != 0) return end(nghttp2_strerror(problem));
  if (full_) {
    // Behind the stream, which is to write by then.
    loop_.forget_turn_end(*this);
    loop_.at_turn_end(*this);
  }
  if (std::ranges::any_of(calls_, [](const Http2Call* call) { return call->drain_due_; })) {
    going_on_.after(Duration(1), [this] { go_on(); });
  }
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) end("it said goodbye");
}

void Http2UpstreamConnection::resume(Http2Call& call) {
  if (call.held_.empty() && !call.answer_ended_) return;
  call.held_due_ = true;
  going_on_.after(Duration(1), [this] { go_on(); });
}

void Http2UpstreamConnection::go_on() {
  std::vector<int32_t> ids;
  for (const Http2Call* call : calls_) {
    if (call->drain_due_ || call->held_due_) ids.push_back(call->id_);
  }
  for (const int32_t id : ids) {
    Http2Call* call = find(id);
    if (call == nullptr) continue;
    if (std::exchange(call->drain_due_, false) && call->body_.empty() && !call->body_complete_) {
      call->observer_.on_request_drained();
      if (ended_) return;
      call = find(id);
    }
    if (call == nullptr || !std::exchange(call->held_due_, false) || call->paused_) continue;
    const std::string held = std::exchange(call->held_, {});
    if (!held.empty()) {
      nghttp2_session_consume_stream(session_, id, held.size());
      call->moved_at_ = loop_.now();
      call->observer_.on_body(held);
      if (ended_) return;
      call = find(id);
    }
    if (call != nullptr && call->answer_ended_ && call->held_.empty() && !call->paused_) complete(*call);
    if (ended_) return;
  }
  flush();
}

// --- Answers

void Http2UpstreamConnection::on_bytes(std::string_view bytes) {
  if (ended_) return;
  inside_ = true;
  const ssize_t taken =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  inside_ = false;
  if (ended_) return;
  if (taken < 0) return end(nghttp2_strerror(static_cast<int>(taken)));
  flush();
}

void Http2UpstreamConnection::take_head(Http2Call& call, bool ends) {
  call.moved_at_ = loop_.now();
  if (head_->too_long) return fail(call, "http.bad-answer", "the head is too long", NGHTTP2_CANCEL);
  if (call.has_head_) {
    call.answer_trailers_ = std::move(head_->fields);
    return ends ? take_end(call) : fail(call, "http.bad-answer", "a head within the body", NGHTTP2_PROTOCOL_ERROR);
  }
  ResponseHead head{.status = head_->status, .reason = {}, .minor_version = 1, .fields = {}};
  for (const auto& [name, value] : head_->fields) head.fields.push_back({name, value});
  const int32_t id = call.id_;
  if (head.status < 200) {
    if (head.status < 100 || head.status == 101 || ++call.interims_ > AnswerReader::kInterimMax) {
      return fail(call, "http.bad-answer", "an interim answer that was not asked for", NGHTTP2_PROTOCOL_ERROR);
    }
    return call.observer_.on_interim(head);
  }
  call.has_head_ = true;
  has_answered_ = true;
  arm(call.moved_at_ + upstream_.limits_.idle_timeout);
  BodyFraming framing{.kind = BodyFraming::Kind::kChunked};
  const bool has_none = call.method_ == "HEAD" || head.status == 204 || head.status == 304;
  if (has_none || (ends && !find_field(head.fields, "content-length"))) {
    framing = {};
  } else if (const auto length = find_field(head.fields, "content-length")) {
    framing = {.kind = BodyFraming::Kind::kLength};
    std::from_chars(length->data(), length->data() + length->size(), framing.length);  // libnghttp2 has checked it
  }
  call.observer_.on_head(head, framing);
  if (ended_) return;
  if (Http2Call* still = ends ? find(id) : nullptr) take_end(*still);
}

void Http2UpstreamConnection::take_body(Http2Call& call, std::string_view piece) {
  call.moved_at_ = loop_.now();
  if (call.paused_ || !call.held_.empty()) {
    call.held_.append(piece);
    return;
  }
  nghttp2_session_consume_stream(session_, call.id_, piece.size());
  call.observer_.on_body(piece);
}

void Http2UpstreamConnection::take_end(Http2Call& call) {
  call.answer_ended_ = true;
  if (!call.paused_ && call.held_.empty()) complete(call);
}

void Http2UpstreamConnection::complete(Http2Call& call) {
  const int32_t id = call.id_;
  const bool all_sent = call.body_complete_ && call.body_.empty();
  std::vector<HttpField> trailers;
  const Http2Call::Fields owned = std::move(call.answer_trailers_);
  for (const auto& [name, value] : owned) trailers.push_back({name, value});
  detach(call);
  if (!all_sent) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
  schedule();
  call.end();
  call.observer_.on_end(trailers);
}

void Http2UpstreamConnection::fail(Http2Call& call, std::string_view code, std::string_view what, uint32_t reset_code) {
  const int32_t id = call.id_;
  detach(call);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, reset_code);
  schedule();
  upstream_.calls_.fail(
      call, {.code = code, .what = fmt::format("the answer of {} was refused: {}", address_.text(), what), .fix = {}});
}

void Http2UpstreamConnection::stream_closed(int32_t id, uint32_t code) {
  --streams_;
  upstream_.serving_timer_.after(Duration(1), [&upstream = upstream_] { upstream.serve_waiting(); });
  Http2Call* call = find(id);
  if (call == nullptr) return;
  // What is held is all there is of it.
  if (call->answer_ended_ && code == NGHTTP2_NO_ERROR) return;
  detach(*call);
  if (code == NGHTTP2_REFUSED_STREAM && call->may_be_repeated() && !call->has_head_) {
    call->repeated_ = true;
    upstream_.counters_.repeated.add();
    return upstream_.calls_.push_front(*call);
  }
  const bool is_bad = code == NGHTTP2_PROTOCOL_ERROR;
  upstream_.calls_.fail(*call, {.code = is_bad ? "http.bad-answer" : "http.closed",
                                .what = fmt::format("{} ended the stream before the answer: {}", address_.text(),
                                                    nghttp2_http2_strerror(code)),
                                .fix = {}});
}

// --- The end

void Http2UpstreamConnection::on_closed(std::string_view reason) { end(reason); }

void Http2UpstreamConnection::end(std::string_view reason) {
  if (ended_) return;
  upstream_.remove(*this,
                   {.code = "http.closed",
                    .what = fmt::format("the connection to {} ended before the answer: {}", address_.text(), reason),
                    .fix = {}});
}

void Http2UpstreamConnection::arm(MonotonicTime deadline) {
  if (timer_.pending() && timer_at_ <= deadline) return;
  timer_at_ = deadline;
  timer_.after(std::max(deadline - loop_.now(), Duration(0)), [this] { on_timer(); });
}

void Http2UpstreamConnection::on_timer() {
  const MonotonicTime now = loop_.now();
  const UpstreamLimits& limits = upstream_.limits_;
  if (streams_ == 0 && calls_.empty()) {
    if (now >= idle_since_ + limits.idle_connection_max) return end("it was idle");
    return arm(idle_since_ + limits.idle_connection_max);
  }
  MonotonicTime next = now + limits.idle_connection_max;
  for (Http2Call* call : std::vector<Http2Call*>(calls_)) {
    const bool waits_for_us = call->paused_ || (!call->body_complete_ && call->body_.empty());
    if (waits_for_us) call->moved_at_ = now;
    const MonotonicTime deadline = call->moved_at_ + (call->has_head_ ? limits.idle_timeout : limits.head_timeout);
    if (now < deadline) {
      next = std::min(next, deadline);
      continue;
    }
    const int32_t id = call->id_;
    const bool begun = call->has_head_;
    detach(*call);
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    schedule();
    upstream_.calls_.fail(*call, {.code = "http.timeout",
                                  .what = fmt::format("{} {}", address_.text(),
                                                      begun ? "stopped in its answer" : "did not answer in time"),
                                  .fix = "check the load of that server and the network between"});
  }
  arm(next);
}

}  // namespace verge::net
