#include "net/http_upstream.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "net/http_upstream_connection.h"

namespace verge::net {
UpstreamPool::UpstreamPool(runtime::Loop& loop, std::vector<Address> addresses, const UpstreamLimits& limits,
                           std::shared_ptr<const TlsContext> tls, std::string host)
    : loop_(loop),
      addresses_(std::move(addresses)),
      limits_(limits),
      tls_(std::move(tls)),
      host_(std::move(host)),
      calls_(loop, limits_, addresses_, counters_) {}

UpstreamPool::~UpstreamPool() {
  for (PooledCall* call : calls_.pop_all()) call->end();
  while (!connections_.empty()) remove(*connections_.back());
}

std::unique_ptr<UpstreamCall> UpstreamPool::begin(const UpstreamRequest& request, UpstreamObserver& observer) {
  VERGE_ASSERT(request.framing.kind != BodyFraming::Kind::kUntilClose);
  std::unique_ptr<PooledCall> call(new PooledCall(*this, observer));
  if (request.method == "CONNECT") {
    calls_.fail(*call, {.code = "http.bad-request", .what = "tunnels are not opened (CONNECT)", .fix = {}});
    return call;
  }
  if (Result<void> written = append_request_head(call->outgoing_, request); !written) {
    calls_.fail(*call, std::move(written.error()));
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
  if (calls_.push(call)) connect_for_waiting();
}

void UpstreamPool::repeat(PooledCall& call) {
  counters_.repeated.add();
  call.repeated_ = true;
  calls_.push_front(call);
}

void UpstreamPool::connect_for_waiting() {
  while (connecting_.size() < calls_.size()) {
    if (connections_.size() + connecting_.size() >= limits_.connections_max) {
      if (idle_.empty()) return;
      take_out(*idle_.front());  // idle while others wait: these want a new one
    }
    const Attempts::iterator attempt = connecting_.insert(connecting_.end(), Attempt{addresses_.current(), nullptr});
    attempt->connecting = std::make_unique<Connecting>(
        loop_, attempt->address, host_, tls_, limits_.connect_timeout,
        [this, attempt](Result<Socket> socket) { on_connected(attempt, std::move(socket)); }, LocalEnd{},
        limits_.descriptors_max);
  }
}

void UpstreamPool::on_connected(Attempts::iterator attempt, Result<Socket> socket) {
  const Address address = attempt->address;
  connecting_.erase(attempt);
  if (socket) {
    addresses_.connected();
    counters_.opened.add();
    connections_.push_back(std::make_unique<UpstreamConnection>(*this, address, std::move(*socket)));
    counters_.connections.set(connections_.size());
    UpstreamConnection& connection = *connections_.back();
    if (calls_.empty()) return take_back(connection);
    return connection.carry(calls_.pop());
  }
  // One that others gave up already says nothing of its successor.
  const bool may_go_on = address.text() != addresses_.current().text() || addresses_.failed();
  // Nobody else will serve those that wait when this was the last hope.
  if (!may_go_on) calls_.fail_waiting(socket.error(), /*all=*/connections_.empty() && connecting_.empty());
  connect_for_waiting();
}

void UpstreamPool::move_to(std::vector<Address> addresses) {
  addresses_.replace(std::move(addresses));
  for (const std::vector<UpstreamConnection*> idle = idle_; UpstreamConnection * connection : idle) {
    if (!addresses_.contains(connection->address())) take_out(*connection);
  }
}

void UpstreamPool::take_back(UpstreamConnection& connection) {
  if (!addresses_.contains(connection.address())) return remove(connection);
  // One that is repeated waits for a new connection.
  PooledCall* next = calls_.pop_if([](const PooledCall& call) { return !call.repeated_; });
  if (next != nullptr) return connection.carry(*next);
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
  calls_.forget(call);
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
