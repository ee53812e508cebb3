#include "net/http2_upstream.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "net/http2_upstream_connection.h"
#include "net/http_response.h"

namespace verge::net {
Http2Upstream::Http2Upstream(runtime::Loop& loop, std::vector<Address> addresses, const UpstreamLimits& limits,
                             std::shared_ptr<const TlsContext> tls, std::shared_ptr<const TlsContext> tls_http1,
                             std::string host)
    : loop_(loop),
      addresses_(addresses),
      limits_(limits),
      tls_(std::move(tls)),
      host_(std::move(host)),
      http1_(loop, std::move(addresses), limits, std::move(tls_http1), host_),
      serving_timer_(loop),
      calls_(loop, limits_, addresses_, counters_) {}

Http2Upstream::~Http2Upstream() {
  for (std::unique_ptr<Http2UpstreamConnection>& connection : connections_) {
    for (Http2Call* call : connection->shut()) call->end();
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
    calls_.fail(*call, {.code = "http.bad-request", .what = "tunnels are not opened (CONNECT)", .fix = {}});
  } else if (Result<void> written = append_request_head(unused, request); !written) {
    calls_.fail(*call, std::move(written.error()));
  } else if (calls_.push(*call)) {
    serve_waiting();
  }
  return call;
}

void Http2Upstream::serve_waiting() {
  while (!calls_.empty()) {
    const auto free = std::ranges::find_if(connections_, [this](const auto& connection) {
      return connection->has_room() && addresses_.contains(connection->address());
    });
    if (free == connections_.end()) break;
    (*free)->carry(calls_.pop());
  }
  if (calls_.empty() || connecting_ || connections_.size() >= limits_.connections_max) return;
  connecting_to_ = addresses_.current();
  connecting_ = std::make_unique<Connecting>(
      loop_, connecting_to_, host_, tls_, limits_.connect_timeout,
      [this](Result<Socket> socket) { on_connected(std::move(socket)); }, LocalEnd{}, limits_.descriptors_max);
}

void Http2Upstream::on_connected(Result<Socket> socket) {
  connecting_ = nullptr;
  if (socket) {
    addresses_.connected();
    if (socket->tls() != nullptr && socket->tls()->protocol() != "h2") return fall_back();
    counters_.opened.add();
    connections_.push_back(std::make_unique<Http2UpstreamConnection>(*this, connecting_to_, std::move(*socket)));
    counters_.connections.set(connections_.size());
    return serve_waiting();
  }
  const bool may_go_on = connecting_to_.text() != addresses_.current().text() || addresses_.failed();
  // Nobody else will serve those that wait when this was the last hope.
  if (!may_go_on) calls_.fail_waiting(socket.error(), /*all=*/connections_.empty());
  serve_waiting();
}

void Http2Upstream::move_to(std::vector<Address> addresses) {
  http1_.move_to(addresses);
  if (!std::ranges::any_of(addresses, [this](const Address& one) { return addresses_.contains(one); })) {
    speaks_http1_ = false;  // it is another server
  }
  addresses_.replace(std::move(addresses));
  serve_waiting();
}

void Http2Upstream::fall_back() {
  speaks_http1_ = true;
  for (Http2Call* call : calls_.pop_all()) carry_over_http1(*call);
}

void Http2Upstream::carry_over_http1(Http2Call& call) {
  std::vector<HttpField> fields;
  call.end();
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
      calls_.push_front(*call);
    } else {
      calls_.fail(*call, why);
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
  calls_.forget(call);
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
