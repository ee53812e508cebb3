#include "net/http2_connection.h"

#include <algorithm>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/assert.h"

namespace verge::net {
namespace {

// What may come before we have taken it: of one body, and of all that a connection sends.
constexpr uint32_t kStreamWindow = 256U << 10;
constexpr int32_t kConnectionWindow = 1 << 20;
constexpr size_t kContinuationsMax = 8;
constexpr size_t kSettingsMax = 32;
// How many times too long a head may be to be answered with 431.
constexpr size_t kHeadsAtMost = 8;
constexpr size_t kFrameHeadBytes = 9;
// How often in a turn the output may be filled up again.
constexpr int kRoundsMax = 4;

bool is_of_http1(std::string_view name) {
  switch (name.size()) {
    case 7:
      return equals_ignoring_case(name, "upgrade");
    case 10:
      return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 16:
      return equals_ignoring_case(name, "proxy-connection");
    case 17:
      return equals_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
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

struct Http2Connection::Fields {
  std::vector<nghttp2_nv> pairs;
};

// What libnghttp2 calls.
struct Http2Callbacks {
  static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* made = nullptr;
    VERGE_ASSERT(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_send_callback(made, &send);
    nghttp2_session_callbacks_set_send_data_callback(made, &send_data);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, &on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, &on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, &on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, &on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, &on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, &on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, &on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(made, &on_frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, &on_stream_close);
    return made;
  }

  // --- Output

  static bool is_full(Http2Connection& connection) {
    if (connection.stream_->queued_bytes() <= connection.server_.limits_.output_bytes_max) return false;
    connection.full_ = true;
    return true;
  }

  static ssize_t send(nghttp2_session*, const uint8_t* bytes, size_t size, int, void* user) {
    Http2Connection& connection = self(user);
    if (is_full(connection)) return NGHTTP2_ERR_WOULDBLOCK;
    connection.written_bytes_ += size;
    connection.stream_->write(text_of(bytes, size));
    return static_cast<ssize_t>(size);
  }

  static ssize_t read_body(nghttp2_session* session, int32_t id, uint8_t*, size_t most, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
    const size_t waiting = stream.out_.size();
    if (waiting == 0 && !stream.finished_) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (waiting > most || !stream.finished_) return static_cast<ssize_t>(std::min(waiting, most));
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream.trailers_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> fields;
      for (const auto& [name, value] : stream.trailers_) {
        if (!is_of_http1(name)) fields.push_back(pair(name, trim_blanks(value)));
      }
      if (nghttp2_submit_trailer(session, id, fields.data(), fields.size()) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return static_cast<ssize_t>(waiting);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t size, nghttp2_data_source* source,
                       void* user) {
    Http2Connection& connection = self(user);
    if (is_full(connection)) return NGHTTP2_ERR_WOULDBLOCK;
    Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
    connection.expect_remarks();
    connection.written_bytes_ += kFrameHeadBytes + size;
    connection.stream_->write(text_of(head, kFrameHeadBytes));
    stream.moved_at_ = connection.server_.loop_.now();
    for (size_t left = size; left > 0;) {
      const OutputQueue::Piece piece = stream.out_.front_piece(left);
      if (piece.shared != nullptr) {
        connection.stream_->write(*piece.shared, piece.offset, piece.bytes.size());
      } else {
        connection.stream_->write(piece.bytes);
      }
      left -= piece.bytes.size();
      stream.out_.take(piece.bytes.size());
    }
    if (stream.out_.empty()) {
      stream.out_.clear();
    } else {
      stream.out_.compact();
    }
    return 0;
  }

  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& connection = self(user);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      // It cost us as much as if the client had done it.
      if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR) connection.spend(connection.resets_);
      return 0;
    }
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
      return 0;
    }
    // Section 8.1: answered before it was whole; the rest is not wanted.
    Http2Stream* stream = connection.find(frame->hd.stream_id);
    if (stream != nullptr && !stream->request_ended_) stream->reset(NGHTTP2_NO_ERROR);
    return 0;
  }

  static int on_frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Http2Stream* stream = self(user).find(frame->hd.stream_id)) stream->reset(NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  // --- Input

  // Also of those that are not looked at: on_frame() is not told of them.
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
    Http2Connection& connection = self(user);
    const bool is_remark = head->type == NGHTTP2_PRIORITY || head->type >= NGHTTP2_WINDOW_UPDATE;
    if (!is_remark || head->type == NGHTTP2_CONTINUATION) return 0;
    if (connection.remarks_due_ == 0) {
      connection.spend(connection.idle_frames_);
    } else {
      --connection.remarks_due_;
    }
    return connection.ended_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& connection = self(user);
    if (connection.ended_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    connection.begin_block();
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      connection.expect_remarks();
      connection.open_stream(frame->hd.stream_id);
    }
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers are not used
    Http2Connection& connection = self(user);
    const HeadLimits& limits = connection.server_.limits_.head;
    connection.head_.add(text_of(name, name_size), text_of(value, value_size), limits);
    // Few bytes of HPACK may stand for many: what is far too long is not looked at to its end, nor answered.
    const bool is_bomb = connection.head_.bytes() / kHeadsAtMost > limits.head_bytes_max;
    return is_bomb ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }

  // Section 8.2.1: a field that is not valid makes the message malformed.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                               uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& connection = self(user);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool acknowledges = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        connection.head_open_ = false;
        Http2Stream* stream = connection.find(frame->hd.stream_id);
        if (stream == nullptr) break;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          connection.begin_request(*stream, ends);
        } else if (ends) {
          connection.end_request(*stream);
        }
        break;
      }
      case NGHTTP2_DATA:
        if (ends) {
          if (Http2Stream* stream = connection.find(frame->hd.stream_id)) connection.end_request(*stream);
        } else if (frame->hd.length == 0) {
          connection.spend(connection.idle_frames_);
        }
        break;
      case NGHTTP2_SETTINGS:
        connection.settings_seen_ = true;
        [[fallthrough]];
      case NGHTTP2_PING:
        if (!acknowledges) connection.spend(connection.idle_frames_);
        break;
      case NGHTTP2_RST_STREAM:
        connection.spend(connection.resets_);
        break;
      default:
        break;
    }
    return connection.ended_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    self(user).head_open_ = false;
    return 0;
  }

  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    Http2Connection& connection = self(user);
    if (Http2Stream* stream = connection.find(id)) connection.take_body(*stream, text_of(bytes, size));
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
    if (Http2Stream* stream = self(user).find(id)) self(user).close_stream(*stream);
    return 0;
  }
};

Http2Connection::Http2Connection(HttpServer& server, Socket socket, size_t index_in_server)
    : HttpServerConnection(index_in_server), server_(server), timer_(server.loop_), going_on_(server.loop_) {
  stream_ = server.make_stream_(server.loop_, std::move(socket), *this);
  begin_session();
}

Http2Connection::Http2Connection(HttpServer& server, std::unique_ptr<Stream> stream, size_t index_in_server)
    : HttpServerConnection(index_in_server),
      server_(server),
      stream_(std::move(stream)),
      timer_(server.loop_),
      going_on_(server.loop_) {
  stream_->observe(*this);
  begin_session();
}

Http2Connection::~Http2Connection() {
  server_.loop_.forget_turn_end(*this);
  nghttp2_session_del(session_);
  for (std::unique_ptr<Http2Stream>& stream : streams_) {
    stream->forget_responder();
    stream->forget();
  }
}

void Http2Connection::begin_session() {
  fields_ = std::make_unique<Fields>();
  nghttp2_option* options = nullptr;
  VERGE_ASSERT(nghttp2_option_new(&options) == 0);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_continuations(options, kContinuationsMax);
  nghttp2_option_set_max_settings(options, kSettingsMax);
  // Ours counts what both sides reset.
  nghttp2_option_set_stream_reset_rate_limit(options, 1U << 20, 1U << 20);
  nghttp2_session_callbacks* callbacks = Http2Callbacks::make();
  VERGE_ASSERT(nghttp2_session_server_new2(&session_, callbacks, this, options) == 0);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(options);
  const HttpServerLimits& limits = server_.limits_;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(limits.streams_max)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head.head_bytes_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  VERGE_ASSERT(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  VERGE_ASSERT(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0);
  head_begun_ = idle_since_ = taken_at_ = server_.loop_.now();
  arm(head_begun_ + limits.head_timeout);
  schedule();
}

// --- Input

void Http2Connection::on_bytes(std::string_view bytes) {
  if (ended_ || closing_) return;
  inside_ = true;
  const ssize_t taken =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  inside_ = false;
  if (ended_) return;
  if (taken == NGHTTP2_ERR_FLOODED || taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (taken < 0) {
    terminate(taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
  }
  flush();
}

void Http2Connection::begin_block() {
  head_.clear();
  head_open_ = true;
  head_begun_ = server_.loop_.now();
  arm(head_begun_ + server_.limits_.head_timeout);
}

Http2Stream* Http2Connection::find(int32_t id) const {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void Http2Connection::open_stream(int32_t id) {
  std::unique_ptr<Http2Stream> stream = server_.take_stream();
  stream->open(*this, id);
  stream->index_ = streams_.size();
  nghttp2_session_set_stream_user_data(session_, id, stream.get());
  streams_.push_back(std::move(stream));
}

void Http2Connection::close_stream(Http2Stream& stream) {
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  const std::function<void()> closed = std::exchange(stream.closed_, nullptr);
  stream.forget_responder();
  stream.forget();
  const size_t index = stream.index_;
  std::swap(streams_[index], streams_.back());
  streams_[index]->index_ = index;
  server_.keep_stream(std::move(streams_.back()));
  streams_.pop_back();
  if (streams_.empty()) {
    idle_since_ = server_.loop_.now();
    arm(idle_since_ + server_.limits_.idle_timeout);
  }
  if (closed) closed();
}

void Http2Connection::begin_request(Http2Stream& stream, bool is_whole) {
  const HttpServerLimits& limits = server_.limits_;
  stream.request_ended_ = is_whole;
  stream.is_head_ = head_.method() == "HEAD";
  if (const std::optional<HttpFault> fault = head_.check(limits.head)) {
    return stream.refuse(fault->status, fault->reason);
  }
  if (head_.method() == "CONNECT") return stream.refuse(501, "this server opens no tunnels");
  const std::optional<std::string_view> expectation = find_field(head_.fields(), "expect");
  if (expectation && !equals_ignoring_case(*expectation, "100-continue")) {
    return stream.refuse(417, "the only expectation that is met is 100-continue");
  }
  if (!admit(stream)) return;
  if (head_.length() > stream.body_limit_.bytes_max) return stream.refuse_long_body();
  if (is_whole) return deliver(stream, head_, {});
  std::swap(stream.head_, head_);
  stream.head_.rebind();
  stream.state_ = Http2Stream::State::kBody;
  stream.body_due_ = server_.loop_.now() + limits.body_timeout;
  arm(stream.body_due_);
  if (expectation) stream.send_interim(100, {});
}

bool Http2Connection::admit(Http2Stream& stream) {
  stream.body_limit_ = {.bytes_max = server_.limits_.body_bytes_max, .name = {}};
  if (!server_.head_receiver_) return true;
  HttpResponder responder(stream);
  const std::optional<BodyLimit> limit = server_.head_receiver_(request(head_, {}), responder);
  if (!limit) {
    stream.state_ = Http2Stream::State::kAnswering;
    return false;
  }
  stream.forget_responder();  // unused: the request gets another when it is whole
  stream.body_limit_ = *limit;
  return true;
}

void Http2Connection::take_body(Http2Stream& stream, std::string_view piece) {
  if (stream.state_ != Http2Stream::State::kBody) return;
  if (piece.size() > stream.body_limit_.bytes_max - stream.body_.size()) return stream.refuse_long_body();
  if (const auto refusal = server_.body_room_.take(stream_->peer(), piece.size())) {
    return stream.refuse(503, *refusal);
  }
  stream.body_.append(piece);
  stream.body_due_ = server_.limits_.body_due(stream.body_due_, piece.size(), server_.loop_.now());
}

void Http2Connection::end_request(Http2Stream& stream) {
  stream.request_ended_ = true;
  if (stream.state_ != Http2Stream::State::kBody) return;
  Payload body(stream.body_);
  stream.forget_body();
  deliver(stream, stream.head_, std::move(body));
}

void Http2Connection::deliver(Http2Stream& stream, const Http2RequestHead& head, Payload body) {
  stream.state_ = Http2Stream::State::kAnswering;
  server_.receiver_(request(head, std::move(body)), HttpResponder(stream));
}

HttpRequest Http2Connection::request(const Http2RequestHead& head, Payload body) const {
  const TargetParts target = split_target(head.method(), head.target());
  return {.method = head.method(),
          .target = head.target(),
          .host = head.host(),
          .path = target.path,
          .query = target.query,
          .fields = head.fields(),
          .body = std::move(body),
          .peer = stream_->peer(),
          .peer_is_verified = stream_->peer_is_verified(),
          .is_secure = stream_->is_secure(),
          .protocol = "HTTP/2.0"};
}

void Http2Connection::spend(Budget& budget) {
  const MonotonicTime now = server_.loop_.now();
  const double seconds = std::chrono::duration<double>(now - budget.at).count();
  budget.left = std::min(budget.most, budget.left + seconds * budget.a_second) - 1;
  budget.at = now;
  if (budget.left < 0) terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

// --- Output

void Http2Connection::begin_head(std::string_view status) {
  status.copy(status_.data(), status_.size());
  fields_->pairs.clear();
  fields_->pairs.push_back(pair(":status", {status_.data(), status_.size()}));
}

void Http2Connection::add_field(std::string_view name, std::string_view value) {
  if (!is_of_http1(name)) fields_->pairs.push_back(pair(name, trim_blanks(value)));
}

void Http2Connection::submit_head(Http2Stream& stream, bool has_body) {
  const nghttp2_data_provider body{.source = {.ptr = &stream}, .read_callback = &Http2Callbacks::read_body};
  const int problem = nghttp2_submit_response(session_, stream.id_, fields_->pairs.data(), fields_->pairs.size(),
                                              has_body ? &body : nullptr);
  VERGE_ASSERT(problem != NGHTTP2_ERR_NOMEM && problem != NGHTTP2_ERR_INVALID_ARGUMENT);
  stream.moved_at_ = server_.loop_.now();
  arm(stream.moved_at_ + server_.limits_.idle_timeout);
  schedule();
}

void Http2Connection::submit_interim(const Http2Stream& stream) {
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, fields_->pairs.data(), fields_->pairs.size(),
                         nullptr);
  schedule();
}

void Http2Connection::schedule() {
  if (!inside_ && !ended_) server_.loop_.at_turn_end(*this);
}

void Http2Connection::on_turn_end() {
  if (ended_) return;
  if (!full_) {
    rounds_ = 0;
    return flush();
  }
  // What the kernel did not take, on_drained() tells.
  if (stream_->queued_bytes() > server_.limits_.output_bytes_max) return;
  if (++rounds_ < kRoundsMax) return flush();
  // A turn later, so that a fast client cannot keep the loop to itself.
  rounds_ = 0;
  going_on_.after(Duration(1), [this] { flush(); });
}

void Http2Connection::on_drained() {
  if (full_) flush();
}

void Http2Connection::flush() {
  if (ended_ || inside_) return;
  full_ = false;
  inside_ = true;
  const int problem = nghttp2_session_send(session_);
  inside_ = false;
  if (ended_) return;
  if (problem != 0) return end();
  if (full_) {
    // Behind the stream, which is to write by then.
    server_.loop_.forget_turn_end(*this);
    server_.loop_.at_turn_end(*this);
  }
  if (drains_due_) {
    const auto is_due = [](const auto& stream) { return stream->drain_due_ && stream->out_.empty(); };
    if (std::ranges::any_of(streams_, is_due)) going_on_.after(Duration(1), [this] { tell_drained(); });
  }
  if (draining_ && streams_.empty() && !closing_) return begin_closing();
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) begin_closing();
}

void Http2Connection::tell_drained() {
  drains_due_ = false;
  std::vector<int32_t> due;
  for (const auto& stream : streams_) {
    if (!stream->drain_due_) continue;
    if (stream->out_.empty()) {
      due.push_back(stream->id_);
    } else {
      drains_due_ = true;
    }
  }
  for (const int32_t id : due) {
    Http2Stream* stream = find(id);
    if (stream == nullptr) continue;
    stream->drain_due_ = false;
    const std::function<void()> drained = stream->drained_;  // it may finish the answer and so forget itself
    if (drained) drained();
    if (ended_) return;
  }
  flush();
}

// --- The end

void Http2Connection::terminate(uint32_t code) {
  if (std::exchange(terminated_, true) || ended_) return;
  nghttp2_session_terminate_session(session_, code);
  schedule();
}

void Http2Connection::refuse(int, std::string_view) { terminate(NGHTTP2_ENHANCE_YOUR_CALM); }

void Http2Connection::close_soon() {
  if (std::exchange(draining_, true) || ended_ || closing_) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  arm(server_.drain_until_);
  schedule();
}

void Http2Connection::begin_closing() {
  if (std::exchange(closing_, true)) return;
  closing_until_ = server_.loop_.now() + server_.limits_.linger;
  arm(closing_until_);
}

void Http2Connection::on_closed(std::string_view) { end(); }

void Http2Connection::end() {
  if (std::exchange(ended_, true)) return;
  timer_.cancel();
  going_on_.cancel();
  stream_->close();
  server_.remove(*this);
  // libnghttp2 may be at work with them: they stay until the end of the turn.
  for (size_t i = 0; i < streams_.size(); ++i) {
    streams_[i]->forget_responder();
    const std::function<void()> closed = std::exchange(streams_[i]->closed_, nullptr);
    if (closed) closed();
  }
}

// --- Time

void Http2Connection::arm(MonotonicTime deadline) {
  if (timer_.pending() && timer_at_ <= deadline) return;
  timer_at_ = deadline;
  timer_.after(std::max(deadline - server_.loop_.now(), Duration(0)), [this] { on_timer(); });
}

void Http2Connection::on_timer() {
  const MonotonicTime now = server_.loop_.now();
  const HttpServerLimits& limits = server_.limits_;
  if (closing_ && now >= closing_until_) return end();
  MonotonicTime next = closing_ ? closing_until_ : MonotonicTime::max();
  const auto passed = [&](MonotonicTime deadline) {
    if (now < deadline) next = std::min(next, deadline);
    return now >= deadline;
  };
  if (!closing_ && (!settings_seen_ || head_open_) && passed(head_begun_ + limits.head_timeout)) {
    terminate(NGHTTP2_NO_ERROR);
  }
  if (!closing_ && streams_.empty() && passed(idle_since_ + limits.idle_timeout)) terminate(NGHTTP2_NO_ERROR);
  next = std::min(next, check_streams(now));
  if (const size_t queued = stream_->queued_bytes(); queued > 0) {
    if (std::exchange(taken_bytes_, written_bytes_ - queued) != written_bytes_ - queued) taken_at_ = now;
    if (passed(taken_at_ + limits.idle_timeout)) return end();
  } else {
    taken_at_ = now;
  }
  if (terminated_ && !closing_) next = std::min(next, now + limits.linger);
  flush();
  if (!ended_ && next != MonotonicTime::max()) arm(next);
}

// Those that last too long: bodies that do not come, answers that are not taken. When to look again.
MonotonicTime Http2Connection::check_streams(MonotonicTime now) {
  const HttpServerLimits& limits = server_.limits_;
  MonotonicTime next = MonotonicTime::max();
  for (size_t i = 0; i < streams_.size(); ++i) {
    Http2Stream& stream = *streams_[i];
    MonotonicTime deadline = MonotonicTime::max();
    if (stream.state_ == Http2Stream::State::kBody) {
      deadline = stream.body_due_;
      if (server_.draining_) deadline = std::min(deadline, server_.drain_until_);
      if (now >= deadline) stream.refuse(408, "the body did not come in time");
    } else if (!stream.out_.empty() || stream.finished_) {
      deadline = stream.moved_at_ + limits.idle_timeout;
      if (now >= deadline) stream.reset(NGHTTP2_CANCEL);
    }
    if (now < deadline) next = std::min(next, deadline);
  }
  return next;
}

}  // namespace verge::net
