#include "net/http2_upstream.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "net/http2_upstream_connection.h"
#include "net/http_response.h"

namespace verge::net {
namespace {

// Not in this pass over the timers: who asks again at once when a request fails must not hold up the loop.
constexpr Duration kSoon{1};

}  // namespace

Http2Upstream::Http2Upstream(runtime::Loop& loop, const Address& address, const UpstreamLimits& limits,
                             std::shared_ptr<const TlsContext> tls, std::shared_ptr<const TlsContext> tls_http1,
                             std::string host)
    : loop_(loop),
      address_(address),
      limits_(limits),
      tls_(std::move(tls)),
      host_(std::move(host)),
      http1_(loop, address, limits, std::move(tls_http1), host_),
      waiting_timer_(loop),
      failing_timer_(loop),
      serving_timer_(loop) {}

Http2Upstream::~Http2Upstream() {
  for (Http2Call* call : waiting_) call->upstream_ = nullptr;
  for (const Failing& failing : failing_) failing.call->upstream_ = nullptr;
  for (std::unique_ptr<Http2UpstreamConnection>& connection : connections_) {
    for (Http2Call* call : connection->shut()) call->upstream_ = nullptr;
    // This may run inside one of its callbacks, which it must outlive.
    loop_.post([gone = std::move(connection)] {});
  }
}

std::unique_ptr<UpstreamCall> Http2Upstream::begin(const UpstreamRequest& request, UpstreamObserver& observer) {
  VERGE_ASSERT(request.framing.kind != BodyFraming::Kind::kUntilClose);
  if (speaks_http1_ || request.upgrade) return http1_.begin(request, observer);
  std::unique_ptr<Http2Call> call(new Http2Call(*this, observer, request));
  std::string unused;
  if (request.method == "CONNECT") {
    fail_later(*call, {.code = "http.bad-request", .what = "tunnels are not opened (CONNECT)", .fix = {}});
  } else if (Result<void> written = append_request_head(unused, request); !written) {
    fail_later(*call, std::move(written.error()));
  } else if (waiting_.size() >= limits_.waiting_max) {
    fail_later(*call, {.code = "http.queue-full",
                       .what = fmt::format("{} requests to {} wait already", waiting_.size(), address_.text()),
                       .fix = "ask again later"});
  } else {
    wait(*call, /*first=*/false);
    serve_waiting();
  }
  return call;
}

void Http2Upstream::wait(Http2Call& call, bool first) {
  call.waits_since_ = loop_.now();
  if (first) {
    waiting_.push_front(&call);
  } else {
    waiting_.push_back(&call);
  }
  if (!waiting_timer_.pending()) waiting_timer_.after(limits_.wait_timeout, [this] { fail_those_that_waited(); });
}

void Http2Upstream::serve_waiting() {
  while (!waiting_.empty()) {
    const auto free = std::ranges::find_if(connections_, [](const auto& connection) { return connection->has_room(); });
    if (free == connections_.end()) break;
    Http2Call& call = *waiting_.front();
    waiting_.pop_front();
    (*free)->carry(call);
  }
  // One more at a time: it has room for many.
  if (waiting_.empty() || !connecting_.empty() || connections_.size() >= limits_.connections_max) return;
  const Attempt attempt = connecting_.emplace(connecting_.end());
  *attempt = std::make_unique<Connecting>(
      loop_, address_, host_, tls_, limits_.connect_timeout,
      [this, attempt](Result<Socket> socket) { on_connected(attempt, std::move(socket)); }, LocalEnd{},
      limits_.descriptors_max);
}

void Http2Upstream::on_connected(Attempt attempt, Result<Socket> socket) {
  connecting_.erase(attempt);
  if (socket) {
    if (socket->tls() != nullptr && socket->tls()->protocol() != "h2") return fall_back();
    counters_.opened.add();
    connections_.push_back(std::make_unique<Http2UpstreamConnection>(*this, std::move(*socket)));
    counters_.connections.set(connections_.size());
    return serve_waiting();
  }
  // Nobody else will serve those that wait when this was the last hope.
  const bool last = connections_.empty();
  while (!waiting_.empty()) {
    Http2Call& call = *waiting_.front();
    waiting_.pop_front();
    fail_later(call, socket.error());
    if (!last) break;
  }
  serve_waiting();
}

void Http2Upstream::fall_back() {
  speaks_http1_ = true;
  for (Http2Call* call : std::exchange(waiting_, {})) carry_over_http1(*call);
}

void Http2Upstream::carry_over_http1(Http2Call& call) {
  std::vector<HttpField> fields;
  call.upstream_ = nullptr;
  call.over_http1_ = http1_.begin(call.request(fields), call.observer_);
  if (!call.body_.empty()) call.over_http1_->write_body(call.body_);
  std::string().swap(call.body_);
  if (call.paused_) call.over_http1_->pause();
  if (!call.body_complete_ || call.framing_.kind == BodyFraming::Kind::kNone) return;
  std::vector<HttpField> trailers;
  for (const auto& [name, value] : call.trailers_) trailers.push_back({name, value});
  call.over_http1_->finish_body(trailers);
}

void Http2Upstream::remove(Http2UpstreamConnection& connection, const Error& why) {
  const bool was_good = connection.has_answered();
  for (Http2Call* call : connection.shut()) {
    if (was_good && !call->has_head_ && call->may_be_repeated() && is_idempotent(call->method_)) {
      call->repeated_ = true;
      counters_.repeated.add();
      wait(*call, /*first=*/true);
    } else {
      fail_later(*call, why);
    }
  }
  const auto place = std::ranges::find(connections_, &connection, &std::unique_ptr<Http2UpstreamConnection>::get);
  VERGE_ASSERT(place != connections_.end());
  std::swap(*place, connections_.back());
  // This runs inside one of its callbacks, which it must outlive.
  loop_.post([gone = std::move(connections_.back())] {});
  connections_.pop_back();
  counters_.connections.set(connections_.size());
  serve_waiting();
}

void Http2Upstream::forget(Http2Call& call) {
  if (call.connection_ != nullptr) return call.connection_->cancel(call);
  std::erase(waiting_, &call);
  std::erase_if(failing_, [&](const Failing& failing) { return failing.call == &call; });
}

void Http2Upstream::fail_later(Http2Call& call, Error error) {
  failing_.push_back({&call, std::move(error)});
  if (!failing_timer_.pending()) failing_timer_.after(kSoon, [this] { fail_next(); });
}

// One in each pass of the loop: its observer may do anything to the others and to this.
void Http2Upstream::fail_next() {
  if (failing_.empty()) return;
  const Failing failing = std::move(failing_.front());
  failing_.pop_front();
  if (!failing_.empty()) failing_timer_.after(kSoon, [this] { fail_next(); });
  counters_.failures.add();
  failing.call->upstream_ = nullptr;
  failing.call->observer_.on_failed(failing.error);
}

void Http2Upstream::fail_those_that_waited() {
  const MonotonicTime too_long = loop_.now() - limits_.wait_timeout;
  MonotonicTime oldest = MonotonicTime::max();
  for (Http2Call* call : std::exchange(waiting_, {})) {
    if (call->waits_since_ <= too_long) {
      fail_later(*call, {.code = "http.timeout",
                         .what = fmt::format("{} was not free to be asked in time", address_.text()),
                         .fix = "check the load of that server and the network between"});
    } else {
      waiting_.push_back(call);
      oldest = std::min(oldest, call->waits_since_);
    }
  }
  if (!waiting_.empty()) waiting_timer_.after(oldest - too_long, [this] { fail_those_that_waited(); });
}

// --- The call

Http2Call::Http2Call(Http2Upstream& upstream, UpstreamObserver& observer, const UpstreamRequest& request)
    : upstream_(&upstream),
      observer_(observer),
      method_(request.method),
      target_(request.target),
      authority_(request.authority),
      framing_(request.framing),
      body_left_(request.framing.kind == BodyFraming::Kind::kLength ? request.framing.length : 0),
      body_complete_(request.framing.kind != BodyFraming::Kind::kChunked && body_left_ == 0) {
  fields_.reserve(request.fields.size());
  for (const HttpField& field : request.fields) fields_.emplace_back(field.name, trim_blanks(field.value));
}

Http2Call::~Http2Call() {
  if (upstream_ != nullptr) upstream_->forget(*this);
}

UpstreamRequest Http2Call::request(std::vector<HttpField>& fields) const {
  for (const auto& [name, value] : fields_) fields.push_back({name, value});
  return {.method = method_,
          .target = target_,
          .authority = authority_,
          .fields = fields,
          .framing = framing_,
          .upgrade = std::nullopt};
}

void Http2Call::write_body(std::string_view piece) {
  if (over_http1_) return over_http1_->write_body(piece);
  if (upstream_ == nullptr || piece.empty()) return;
  VERGE_ASSERT(!body_complete_);
  if (framing_.kind == BodyFraming::Kind::kLength) {
    VERGE_ASSERT(piece.size() <= body_left_);
    body_left_ -= piece.size();
  }
  body_.append(piece);
  if (connection_ != nullptr) connection_->wrote(*this);
}

void Http2Call::finish_body(std::span<const HttpField> trailers) {
  if (over_http1_) return over_http1_->finish_body(trailers);
  if (upstream_ == nullptr || body_complete_) return;
  VERGE_ASSERT(body_left_ == 0);
  body_complete_ = true;
  if (framing_.kind == BodyFraming::Kind::kChunked && can_be_written(trailers)) {
    for (const HttpField& field : trailers) trailers_.emplace_back(field.name, trim_blanks(field.value));
  }
  if (connection_ != nullptr) connection_->wrote(*this);
}

size_t Http2Call::queued_bytes() const { return over_http1_ ? over_http1_->queued_bytes() : body_.size(); }

void Http2Call::pause() {
  if (over_http1_) return over_http1_->pause();
  paused_ = true;
}

void Http2Call::resume() {
  if (over_http1_) return over_http1_->resume();
  if (!std::exchange(paused_, false) || connection_ == nullptr) return;
  connection_->resume(*this);
}

}  // namespace verge::net
