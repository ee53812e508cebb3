#include "net/http_client.h"

#include <utility>

#include <fmt/format.h>

#include "net/http_client_exchange.h"
#include "net/http_request_head.h"

namespace verge::net {
namespace {

// Not in this pass over the timers: who asks again at once when a request fails must not hold up the loop.
constexpr Duration kSoon{1};

}  // namespace

HttpClient::HttpClient(runtime::Loop& loop, const Address& address, std::string host, const HttpClientLimits& limits,
                       std::shared_ptr<const TlsContext> tls, LocalEnd from)
    : loop_(loop),
      address_(address),
      host_(std::move(host)),
      limits_(limits),
      tls_(std::move(tls)),
      from_(std::move(from)),
      failing_(loop) {}

HttpClient::~HttpClient() {
  if (gone_ != nullptr) *gone_ = true;
  close_stream();
}

uint64_t HttpClient::bytes_sent() const { return sent_bytes_ + (stream_ ? stream_->sent_bytes() : 0); }

void HttpClient::request(const HttpCall& call, Answered answered) {
  if (exchanges_.size() >= limits_.requests_max) {
    return fail_later(std::move(answered),
                      {.code = "http.queue-full",
                       .what = fmt::format("{} requests to {} wait already", exchanges_.size(), address_.text()),
                       .fix = "ask again later"});
  }
  auto exchange = std::make_unique<HttpClientExchange>(loop_, limits_);
  BodyFraming framing;
  if (!call.body.empty()) framing = {.kind = BodyFraming::Kind::kLength, .length = call.body.size()};
  const Result<void> written = append_request_head(
      exchange->head,
      {.method = call.method, .target = call.target, .authority = host_, .fields = call.fields, .framing = framing});
  if (!written) return fail_later(std::move(answered), written.error());
  exchange->method = call.method;
  exchange->reader.begin(call.method);
  exchange->body = call.body;
  exchange->answered = std::move(answered);
  exchange->timer.after(call.timeout, [this, raw = exchange.get()] { on_timeout(*raw); });
  exchanges_.push_back(std::move(exchange));
  pump();
}

void HttpClient::pump() {
  if (exchanges_.empty() || connecting_) return;
  HttpClientExchange& first = *exchanges_.front();
  if (first.sent) return;
  if (stream_ && loop_.now() - idle_since_ > limits_.idle_max) close_stream();
  if (!stream_) return connect();
  first.sent = true;
  stream_->write(first.head);
  stream_->write(first.body, 0, first.body.size());
}

void HttpClient::connect() {
  connecting_ = std::make_unique<Connecting>(
      loop_, address_, host_, tls_, limits_.connect_timeout,
      [this](Result<Socket> socket) {
        if (!socket) return on_connect_failed(socket.error());
        on_connected(std::move(*socket));
      },
      from_);
}

void HttpClient::on_connected(Socket socket) {
  connecting_.reset();
  StreamObserver& observer = *this;
  stream_ = std::make_unique<TcpStream>(loop_, std::move(socket), observer);
  reused_ = false;
  idle_since_ = loop_.now();
  pump();
}

void HttpClient::on_connect_failed(const Error& error) {
  connecting_.reset();
  for (const std::unique_ptr<HttpClientExchange>& exchange : exchanges_)
    fail_later(std::move(exchange->answered), error);
  exchanges_.clear();
}

void HttpClient::on_timeout(HttpClientExchange& exchange) {
  const bool under_way = exchange.sent;
  const std::string_view what = under_way ? "did not answer in time" : "was not free to be asked in time";
  fail_later(std::move(exchange.answered), {.code = "http.timeout",
                                            .what = fmt::format("{} {}", address_.text(), what),
                                            .fix = "check the load of that server and the network between"});
  std::erase_if(exchanges_, [&](const std::unique_ptr<HttpClientExchange>& each) { return each.get() == &exchange; });
  if (under_way) close_stream();
  if (exchanges_.empty()) connecting_.reset();
  pump();
}

void HttpClient::on_bytes(std::string_view bytes) {
  received_bytes_ += bytes.size();
  if (exchanges_.empty() || !exchanges_.front()->sent) return close_stream();  // nobody asked
  HttpClientExchange& first = *exchanges_.front();
  switch (first.receive(bytes)) {
    case HttpClientExchange::Progress::kNeedMore:
      return;
    case HttpClientExchange::Progress::kRefused:
      return fail_first(first.refusal());
    case HttpClientExchange::Progress::kDone:
      complete(!first.has_surplus && first.reader.keeps_connection());
  }
}

void HttpClient::on_closed(std::string_view reason) {
  const bool was_cut = stream_->was_cut();
  close_stream();
  if (exchanges_.empty() || !exchanges_.front()->sent) return pump();
  HttpClientExchange& first = *exchanges_.front();
  if (first.reader.ends_with_connection() && !was_cut) return complete(/*keeps_connection=*/false);
  if (reused_ && !first.reader.has_begun() && !first.sent_again && is_idempotent(first.method)) {
    first.sent = false;
    first.sent_again = true;
    return pump();
  }
  fail_first({.code = "http.closed",
              .what = fmt::format("the connection to {} ended before the answer: {}", address_.text(), reason),
              .fix = {}});
}

void HttpClient::complete(bool keeps_connection) {
  const std::unique_ptr<HttpClientExchange> done = std::move(exchanges_.front());
  exchanges_.pop_front();
  done->timer.cancel();
  reused_ = true;
  idle_since_ = loop_.now();
  if (!keeps_connection) close_stream();
  pump();
  const ResponseHead& head = done->reader.head();
  done->answered(HttpAnswer{.status = head.status, .fields = head.fields, .body = Payload(done->received)});
}

void HttpClient::fail_first(Error error) {
  close_stream();
  fail_later(std::move(exchanges_.front()->answered), std::move(error));
  exchanges_.pop_front();
  pump();
}

void HttpClient::fail_later(Answered answered, Error error) {
  failures_.push_back({std::move(answered), std::move(error)});
  if (!failing_.pending()) failing_.after(kSoon, [this] { call_failures(); });
}

void HttpClient::call_failures() {
  std::vector<Failure> failures = std::exchange(failures_, {});
  bool gone = false;
  gone_ = &gone;
  for (Failure& failure : failures) {
    failure.answered(std::unexpected(std::move(failure.error)));
    if (gone) return;
  }
  gone_ = nullptr;
}

void HttpClient::close_stream() {
  if (!stream_) return;
  stream_->close();
  sent_bytes_ += stream_->sent_bytes();
  // This may run inside a callback of the stream, which must outlive it.
  loop_.post([closed = std::move(stream_)] {});
}

}  // namespace verge::net
