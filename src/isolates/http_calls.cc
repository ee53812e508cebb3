#include "isolates/http_calls.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "isolates/client_socket.h"
#include "isolates/failures.h"
#include "net/http_response.h"

namespace verge::isolates {
namespace {

constexpr size_t kSpareMax = 512;
constexpr size_t kSharedBytesMin = 16U << 10;
// Of an answer, not taken by the client: above it the worker gets no more room.
constexpr size_t kQueuedBytesMax = 256U << 10;

}  // namespace

int status_of(const Error& error) {
  const bool is_own = error.code == "workers.exception" || error.code == "workers.syntax" ||
                      error.code == "workers.no-handler" || error.code == "workers.subrequest" ||
                      error.code == "workers.start";
  return is_own ? 500 : 503;
}

std::string error_field(const Error& error, const std::string& worker) {
  return fmt::format("{}; worker=\"{}\"", error.code, worker);
}

namespace {

// What nobody answers: the call that asked for it ends.
class Passed final : public Subrequest {
 public:
  void write_body(std::string_view) override {}
  void finish_body() override {}
  void pause() override {}
  void resume() override {}
};

}  // namespace

class HttpCalls::Exchange final : private CallObserver {
 public:
  explicit Exchange(HttpCalls& calls) : calls_(calls), passing_(calls.pool_.loop()) {}

  void begin(const std::shared_ptr<Worker>& worker, const CallRequest& request, ClientSocket::Offer offer,
             net::HttpResponder responder) {
    worker_ = worker;
    offer_ = std::move(offer);
    responder_ = std::move(responder);
    call_ = calls_.pool_.begin(worker, request, *this);
    responder_.when_closed([this] { calls_.over(*this); });
  }
  void begin_upgrade(const std::shared_ptr<Worker>& worker, Upgrade upgrade, ClientSocket::Offer offer,
                     net::HttpResponder responder) {
    upgrade_ = std::make_unique<Upgrade>(std::move(upgrade));
    url_ = upgrade_->call.url;
    begin(worker, upgrade_->call, std::move(offer), std::move(responder));
  }
  void close_socket(uint16_t code, std::string_view reason) {
    if (socket_) socket_->leave(code, reason);
  }
  void reset() {
    passing_.cancel();
    socket_.reset();
    upgrade_.reset();
    offer_ = {};
    call_.reset();
    responder_ = {};
    worker_.reset();
    has_head_ = false;
    owed_ = 0;
  }
  size_t index = 0;

 private:
  void on_answer(const calls::Head& head, bool ends) override {
    if (head.status == 101) return open_socket(head);
    net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
    if (ends) framing = {.kind = net::BodyFraming::Kind::kLength, .length = head.body.size()};
    if (!start(head, framing)) return;
    write(head.body);
    if (!ends) settle(head.body.size());
  }

  void open_socket(const calls::Head& head) {
    has_head_ = true;
    if (offer_.key.empty()) {
      call_.reset();
      constexpr std::string_view kText = "this is a WebSocket\n";
      responder_.respond({.status = 426,
                          .content_type = "text/plain; charset=utf-8",
                          .fields = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}},
                          .body = kText});
      return calls_.over(*this);
    }
    fields_.clear();
    for (const calls::Field& field : head.fields) fields_.push_back({field.name, field.value});
    if (!net::can_be_written({.status = 101, .reason = {}, .fields = fields_})) fields_.clear();
    socket_ = std::make_unique<ClientSocket>(calls_.pool_.loop(), std::move(responder_), *call_,
                                             [this] { calls_.over(*this); });
    socket_->open(offer_, fields_);
  }

  void on_socket_message(bool is_text, std::string_view payload) override { socket_->send(is_text, payload); }
  void on_socket_end(uint16_t code, std::string_view reason) override { socket_->end(code, reason); }
  void on_socket_room() override { socket_->take_room(); }

  std::unique_ptr<Subrequest> begin_subrequest(const calls::Request& request, bool ends,
                                               SubrequestObserver& observer) override {
    if (!upgrade_) return nullptr;
    const bool asks_upgrade = std::ranges::any_of(
        request.fields, [](const calls::Field& field) { return net::equals_ignoring_case(field.name, "upgrade"); });
    if (!has_head_ && asks_upgrade && request.target == calls::RequestTarget::kFetch && request.url == url_) {
      pass_by_soon();
      return std::make_unique<Passed>();
    }
    return upgrade_->subrequest(request, ends, observer);
  }
  // In a turn of its own: the call ends with it.
  void pass_by_soon() {
    passing_.after(Duration(0), [this] {
      const auto pass_by = std::move(upgrade_->pass_by);
      responder_.when_closed({});
      net::HttpResponder responder = std::move(responder_);
      calls_.over(*this);
      pass_by(std::move(responder));
    });
  }

  void on_relayed(const calls::Head& head, const Payload& body) override {
    if (!start(head, {.kind = net::BodyFraming::Kind::kLength, .length = body.size()})) return;
    responder_.write(body, 0, body.size());
  }

  // False: it cannot be written, and the client was told so.
  bool start(const calls::Head& head, const net::BodyFraming& framing) {
    has_head_ = true;
    fields_.clear();
    for (const calls::Field& field : head.fields) fields_.push_back({field.name, field.value});
    const net::HttpResponseHead its{.status = static_cast<int>(head.status), .reason = head.reason, .fields = fields_};
    if (head.status < 200 || head.status > 599 || !net::can_be_written(its)) {
      on_failed({{"workers.exception", fmt::format("worker {} answered with what is no HTTP answer", worker_->name()),
                  "answer with a status of 200 to 599 and fields without control characters"}});
      return false;
    }
    responder_.start(its, framing);
    return true;
  }

  void on_body(std::string_view piece) override {
    write(piece);
    settle(piece.size());
  }

  void on_end() override {
    if (socket_) return socket_->leave(net::websocket::kInternalError, "the worker ended");
    responder_.finish();
    calls_.over(*this);
  }

  void on_failed(const CallFailure& failure) override {
    if (socket_) return socket_->leave(net::websocket::kInternalError, failure.error.code);
    if (upgrade_ && !has_head_ && responder_.is_open() && upgrade_->falls_back(failure)) return pass_by_soon();
    if (!has_head_ || !responder_.is_open()) {
      const std::string field = error_field(failure.error, worker_->name());
      // Of a node, which has others as clients than who wrote the worker.
      const std::string what = upgrade_ ? public_text(failure.error, worker_->name()) : failure.error.what;
      const std::string text = fmt::format("{} [{}]\n", what, failure.error.code);
      responder_.respond({.status = status_of(failure.error),
                          .content_type = "text/plain; charset=utf-8",
                          .fields = {{"Cache-Control", "no-store"}, {"Verge-Worker-Error", field}},
                          .body = text});
    }
    calls_.over(*this);
  }

  // Long pieces are copied once, to where they are sent from, and do not pass through the connection's text.
  void write(std::string_view piece) {
    if (piece.size() >= kSharedBytesMin) {
      responder_.write(Payload(piece), 0, piece.size());
    } else if (!piece.empty()) {
      responder_.write(piece);
    }
  }

  // Gives the worker room for what the client took.
  void settle(size_t bytes) {
    owed_ += bytes;
    if (responder_.queued_bytes() <= kQueuedBytesMax) {
      if (call_) call_->taken(std::exchange(owed_, 0));
      return;
    }
    if (call_) call_->pause_clock(true);
    responder_.when_drained([this] {
      if (!call_) return;
      call_->pause_clock(false);
      call_->taken(std::exchange(owed_, 0));
    });
  }

  HttpCalls& calls_;
  std::shared_ptr<Worker> worker_;  // as long as the call is under way
  net::HttpResponder responder_;
  std::unique_ptr<Call> call_;
  std::vector<net::HttpField> fields_;
  bool has_head_ = false;
  size_t owed_ = 0;  // of the body, without room given for it
  // Of a WebSocket.
  ClientSocket::Offer offer_;
  std::unique_ptr<ClientSocket> socket_;
  std::unique_ptr<Upgrade> upgrade_;
  std::string url_;  // of upgrade_
  runtime::Timer passing_;
};

HttpCalls::HttpCalls(Pool& pool, PlaceOf place_of) : pool_(pool), place_of_(std::move(place_of)) {}
HttpCalls::~HttpCalls() = default;

void HttpCalls::answer(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request,
                       net::HttpResponder responder) {
  url_.assign(request.is_secure ? "https://" : "http://");
  url_.append(request.host.empty() ? std::string_view("localhost") : request.host).append(request.path);
  if (!request.query.empty()) url_.append("?").append(request.query);
  fields_.clear();
  for (const net::HttpField& field : request.fields) fields_.push_back({field.name, field.value});
  const std::string place = place_of_ ? place_of_(request.peer) : std::string();
  ClientSocket::Offer offer = ClientSocket::offer_of(request, responder);
  fresh_exchange().begin(
      worker, {.method = request.method, .url = url_, .fields = fields_, .place = place, .body = request.body},
      std::move(offer), std::move(responder));
}

void HttpCalls::answer(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request,
                       net::HttpResponder responder, Upgrade upgrade) {
  ClientSocket::Offer offer = ClientSocket::offer_of(request, responder);
  fresh_exchange().begin_upgrade(worker, std::move(upgrade), std::move(offer), std::move(responder));
}

void HttpCalls::close_sockets(uint16_t code, std::string_view reason) {
  for (const std::unique_ptr<Exchange>& exchange : exchanges_) exchange->close_socket(code, reason);
}

HttpCalls::Exchange& HttpCalls::fresh_exchange() {
  std::unique_ptr<Exchange> exchange;
  if (spare_.empty()) {
    exchange = std::make_unique<Exchange>(*this);
  } else {
    exchange = std::move(spare_.back());
    spare_.pop_back();
  }
  Exchange& its = *exchange;
  its.index = exchanges_.size();
  exchanges_.push_back(std::move(exchange));
  return its;
}

void HttpCalls::over(Exchange& exchange) {
  exchange.reset();
  const size_t index = exchange.index;
  std::unique_ptr<Exchange> its = std::move(exchanges_[index]);
  if (index + 1 != exchanges_.size()) {
    exchanges_[index] = std::move(exchanges_.back());
    exchanges_[index]->index = index;
  }
  exchanges_.pop_back();
  if (spare_.size() < kSpareMax) spare_.push_back(std::move(its));
}

}  // namespace verge::isolates
