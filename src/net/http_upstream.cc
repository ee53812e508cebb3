#include "net/http_upstream.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "net/http_upstream_connection.h"

namespace verge::net {
namespace {

// Not in this pass over the timers: who asks again at once when a request fails must not hold up the loop.
constexpr Duration kSoon{1};

}  // namespace

UpstreamPool::UpstreamPool(runtime::Loop& loop, const Address& address, const UpstreamLimits& limits,
                           std::shared_ptr<const TlsContext> tls, std::string host)
    : loop_(loop),
      address_(address),
      limits_(limits),
      tls_(std::move(tls)),
      host_(std::move(host)),
      waiting_timer_(loop),
      failing_timer_(loop) {}

UpstreamPool::~UpstreamPool() {
  for (PooledCall* call : waiting_) call->pool_ = nullptr;
  for (const Failing& failing : failing_) failing.call->pool_ = nullptr;
  while (!connections_.empty()) remove(*connections_.back());
}

std::unique_ptr<UpstreamCall> UpstreamPool::begin(const UpstreamRequest& request, UpstreamObserver& observer) {
  VERGE_ASSERT(request.framing.kind != BodyFraming::Kind::kUntilClose);
  std::unique_ptr<PooledCall> call(new PooledCall(*this, observer));
  if (request.method == "CONNECT") {
    fail_later(*call, {.code = "http.bad-request", .what = "tunnels are not opened (CONNECT)", .fix = {}});
    return call;
  }
  if (Result<void> written = append_request_head(call->outgoing_, request); !written) {
    fail_later(*call, std::move(written.error()));
    return call;
  }
  call->method_ = request.method;
  call->framing_ = request.framing;
  call->body_left_ = request.framing.kind == BodyFraming::Kind::kLength ? request.framing.length : 0;
  call->body_complete_ = request.framing.kind != BodyFraming::Kind::kChunked && call->body_left_ == 0;
  call->takes_upgrade_ = request.upgrade.has_value();
  call->idempotent_ = is_idempotent(request.method);
  place(*call);
  return call;
}

void UpstreamPool::place(PooledCall& call) {
  if (!idle_.empty()) {
    UpstreamConnection& connection = *idle_.back();
    idle_.pop_back();
    return connection.carry(call);
  }
  if (waiting_.size() >= limits_.waiting_max) {
    return fail_later(call, {.code = "http.queue-full",
                             .what = fmt::format("{} requests to {} wait already", waiting_.size(), address_.text()),
                             .fix = "ask again later"});
  }
  call.waits_since_ = loop_.now();
  waiting_.push_back(&call);
  if (!waiting_timer_.pending()) waiting_timer_.after(limits_.wait_timeout, [this] { fail_those_that_waited(); });
  connect_for_waiting();
}

void UpstreamPool::repeat(PooledCall& call) {
  counters_.repeated.add();
  call.repeated_ = true;
  call.waits_since_ = loop_.now();
  waiting_.push_front(&call);
  if (!waiting_timer_.pending()) waiting_timer_.after(limits_.wait_timeout, [this] { fail_those_that_waited(); });
}

void UpstreamPool::connect_for_waiting() {
  while (connecting_.size() < waiting_.size()) {
    if (connections_.size() + connecting_.size() >= limits_.connections_max) {
      if (idle_.empty()) return;
      take_out(*idle_.front());  // idle while others wait: these want a new one
    }
    const Attempt attempt = connecting_.emplace(connecting_.end());
    *attempt = std::make_unique<Connecting>(
        loop_, address_, host_, tls_, limits_.connect_timeout,
        [this, attempt](Result<Socket> socket) { on_connected(attempt, std::move(socket)); }, LocalEnd{},
        limits_.descriptors_max);
  }
}

void UpstreamPool::on_connected(Attempt attempt, Result<Socket> socket) {
  connecting_.erase(attempt);
  if (socket) {
    counters_.opened.add();
    connections_.push_back(std::make_unique<UpstreamConnection>(*this, std::move(*socket)));
    counters_.connections.set(connections_.size());
    UpstreamConnection& connection = *connections_.back();
    if (waiting_.empty()) return take_back(connection);
    PooledCall& call = *waiting_.front();
    waiting_.pop_front();
    return connection.carry(call);
  }
  // Nobody else will serve those that wait when this was the last hope.
  const bool last = connections_.empty() && connecting_.empty();
  while (!waiting_.empty()) {
    PooledCall& call = *waiting_.front();
    waiting_.pop_front();
    fail_later(call, socket.error());
    if (!last) break;
  }
  connect_for_waiting();
}

void UpstreamPool::take_back(UpstreamConnection& connection) {
  // One that is repeated waits for a new connection.
  const auto next = std::ranges::find_if(waiting_, [](const PooledCall* call) { return !call->repeated_; });
  if (next != waiting_.end()) {
    PooledCall& call = **next;
    waiting_.erase(next);
    return connection.carry(call);
  }
  if (limits_.idle_connections_max == 0) return remove(connection);
  if (idle_.size() >= limits_.idle_connections_max) take_out(*idle_.front());
  idle_.push_back(&connection);
  connection.rest();
  connect_for_waiting();
}

void UpstreamPool::remove(UpstreamConnection& connection) {
  take_out(connection);
  connect_for_waiting();
}

void UpstreamPool::take_out(UpstreamConnection& connection) {
  connection.shut();
  std::erase(idle_, &connection);
  const auto place = std::ranges::find(connections_, &connection, &std::unique_ptr<UpstreamConnection>::get);
  VERGE_ASSERT(place != connections_.end());
  std::swap(*place, connections_.back());
  // This may run inside one of its callbacks, which it must outlive.
  loop_.post([gone = std::move(connections_.back())] {});
  connections_.pop_back();
  counters_.connections.set(connections_.size());
}

void UpstreamPool::forget(PooledCall& call) {
  if (call.connection_ != nullptr) return remove(*call.connection_);
  std::erase(waiting_, &call);
  std::erase_if(failing_, [&](const Failing& failing) { return failing.call == &call; });
}

void UpstreamPool::fail_later(PooledCall& call, Error error) {
  failing_.push_back({&call, std::move(error)});
  if (!failing_timer_.pending()) failing_timer_.after(kSoon, [this] { fail_next(); });
}

// One in each pass of the loop: its observer may do anything to the others and to the pool.
void UpstreamPool::fail_next() {
  if (failing_.empty()) return;
  const Failing failing = std::move(failing_.front());
  failing_.pop_front();
  if (!failing_.empty()) failing_timer_.after(kSoon, [this] { fail_next(); });
  counters_.failures.add();
  failing.call->pool_ = nullptr;
  failing.call->observer_.on_failed(failing.error);
}

void UpstreamPool::fail_those_that_waited() {
  const MonotonicTime too_long = loop_.now() - limits_.wait_timeout;
  MonotonicTime oldest = MonotonicTime::max();
  for (PooledCall* call : std::exchange(waiting_, {})) {
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

PooledCall::~PooledCall() {
  if (pool_ != nullptr) pool_->forget(*this);
}

std::string& PooledCall::output() { return connection_ == nullptr ? outgoing_ : connection_->output(); }

void PooledCall::write_body(std::string_view piece) {
  if (pool_ == nullptr || piece.empty()) return;
  VERGE_ASSERT(!body_complete_);
  std::string& out = output();
  if (raw_) {
    out.append(piece);
  } else if (framing_.kind == BodyFraming::Kind::kChunked) {
    append_chunk_size(out, piece.size());
    out.append(piece).append("\r\n");
  } else {
    VERGE_ASSERT(piece.size() <= body_left_);
    body_left_ -= piece.size();
    out.append(piece);
  }
  if (connection_ != nullptr) connection_->wrote();
}

void PooledCall::finish_body(std::span<const HttpField> trailers) {
  if (pool_ == nullptr || body_complete_) return;
  if (raw_) return connection_->end_when_sent();
  VERGE_ASSERT(body_left_ == 0);
  body_complete_ = true;
  if (framing_.kind == BodyFraming::Kind::kChunked) append_last_chunk(output(), trailers);
  if (connection_ != nullptr) connection_->wrote();
}

size_t PooledCall::queued_bytes() const {
  return connection_ == nullptr ? outgoing_.size() : connection_->queued_bytes();
}

void PooledCall::pause() {
  paused_ = true;
  if (connection_ != nullptr) connection_->pause(true);
}

void PooledCall::resume() {
  paused_ = false;
  if (connection_ != nullptr) connection_->pause(false);
}

}  // namespace verge::net
