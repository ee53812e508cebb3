#include "isolates/http_calls.h"

#include <utility>

#include <fmt/format.h>

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

class HttpCalls::Exchange final : private CallObserver {
 public:
  explicit Exchange(HttpCalls& calls) : calls_(calls) {}

  void begin(const std::shared_ptr<Worker>& worker, const CallRequest& request, net::HttpResponder responder) {
    worker_ = worker;
    responder_ = std::move(responder);
    call_ = calls_.pool_.begin(worker, request, *this);
    responder_.when_closed([this] { calls_.over(*this); });
  }
  void reset() {
    call_.reset();
    responder_ = {};
    worker_.reset();
    has_head_ = false;
    owed_ = 0;
  }
  size_t index = 0;

 private:
  void on_answer(const calls::Head& head, bool ends) override {
    net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
    if (ends) framing = {.kind = net::BodyFraming::Kind::kLength, .length = head.body.size()};
    if (!start(head, framing)) return;
    write(head.body);
    if (!ends) settle(head.body.size());
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
    responder_.finish();
    calls_.over(*this);
  }

  void on_failed(const CallFailure& failure) override {
    if (!has_head_ || !responder_.is_open()) {
      const std::string field = error_field(failure.error, worker_->name());
      const std::string text = fmt::format("{} [{}]\n", failure.error.what, failure.error.code);
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
  const std::string place = place_of_ ? place_of_(request.peer) : std::string();
  its.begin(worker, {.method = request.method, .url = url_, .fields = fields_, .place = place, .body = request.body},
            std::move(responder));
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
