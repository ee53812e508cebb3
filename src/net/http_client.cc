#include "net/http_client.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "net/http_client_exchange.h"
#include "net/tls_handshake.h"

namespace verge::net {
namespace {

// Not in this pass over the timers: who asks again at once when a request fails must not hold up the loop.
constexpr Duration kSoon{1};

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

bool is_target(std::string_view target) {
  bool good = !target.empty();
  for (const char c : target) good &= c > 0x20 && c != 0x7f && c != '#';
  return good;
}

bool is_clients_own(std::string_view name) {
  return equals_ignoring_case(name, "host") || equals_ignoring_case(name, "content-length") ||
         equals_ignoring_case(name, "transfer-encoding") || equals_ignoring_case(name, "connection");
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

Result<std::string> head_of(const HttpCall& call, std::string_view host) {
  if (!is_token(call.method)) return fail("http.bad-request", "the method is not a token");
  if (!is_target(call.target)) return fail("http.bad-request", "the target has characters that no target has");
  std::string head;
  head.append(call.method).append(" ").append(call.target).append(" HTTP/1.1\r\n");
  append_field(head, "Host", host);
  for (const HttpField& field : call.fields) {
    if (!is_token(field.name) || !is_field_value(field.value)) {
      return fail("http.bad-request", fmt::format("the field {} cannot be sent as it is", field.name));
    }
    if (!is_clients_own(field.name)) append_field(head, field.name, field.value);
  }
  const bool means_body = call.method == "POST" || call.method == "PUT" || call.method == "PATCH";
  if (means_body || !call.body.empty()) append_field(head, "Content-Length", fmt::format("{}", call.body.size()));
  return head.append("\r\n");
}

}  // namespace

// Waits until a connection stands, TLS included, or has failed.
class HttpClient::Connecting final : private runtime::Watcher {
 public:
  Connecting(HttpClient& client, Socket socket) : client_(client), socket_(std::move(socket)), timer_(client.loop_) {
    client_.loop_.watch(socket_.descriptor(), EPOLLOUT, *this);
    timer_.after(client_.limits_.connect_timeout, [this] {
      client_.on_connect_failed({.code = "http.connect-timeout",
                                 .what = fmt::format("{} did not answer in time", client_.address_.text()),
                                 .fix = "check the address and the network between"});
    });
  }
  ~Connecting() override {
    if (socket_) client_.loop_.unwatch(socket_.descriptor(), *this);
  }

 private:
  void on_ready(uint32_t) override {
    const int problem = socket_.take_error();
    if (problem == 0) {
      client_.loop_.unwatch(socket_.descriptor(), *this);
      timer_.cancel();
      if (client_.tls_) return agree_on_tls();
      return client_.on_connected(std::move(socket_));
    }
    client_.on_connect_failed(
        {.code = problem == ECONNREFUSED ? "http.connect-refused" : "http.connect-failed",
         .what = fmt::format("cannot connect to {}: {}", client_.address_.text(), std::strerror(problem)),
         .fix = "check that a server listens there"});
  }

  void agree_on_tls() {
    socket_.speak(client_.tls_->make_session());
    handshake_ = std::make_unique<TlsHandshake>(
        client_.loop_, std::move(socket_), client_.limits_.connect_timeout, [this](Result<Socket> agreed) {
          if (agreed) return client_.on_connected(std::move(*agreed));
          Error error = std::move(agreed.error());
          error.what =
              fmt::format("{} ({}) cannot be reached by TLS: {}", client_.host_, client_.address_.text(), error.what);
          client_.on_connect_failed(error);
        });
    handshake_->start();
  }

  HttpClient& client_;
  Socket socket_;
  runtime::Timer timer_;
  std::unique_ptr<TlsHandshake> handshake_;
};

HttpClient::HttpClient(runtime::Loop& loop, const Address& address, std::string host, const HttpClientLimits& limits,
                       std::shared_ptr<const TlsContext> tls)
    : loop_(loop), address_(address), host_(std::move(host)), limits_(limits), tls_(std::move(tls)), failing_(loop) {}

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
  Result<std::string> head = head_of(call, host_);
  if (!head) return fail_later(std::move(answered), std::move(head.error()));
  auto exchange = std::make_unique<HttpClientExchange>(loop_, limits_);
  exchange->method = call.method;
  exchange->head = std::move(*head);
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
  stream_->write(first.body.view());
}

void HttpClient::connect() {
  Result<Socket> socket = Socket::connect(address_);
  if (socket) {
    connecting_ = std::make_unique<Connecting>(*this, std::move(*socket));
    return;
  }
  Error error = std::move(socket.error());
  error.code = "http.connect-failed";
  on_connect_failed(error);
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
      complete(!first.has_surplus && keeps_alive(first.parser.head().minor_version, first.parser.head().fields));
  }
}

void HttpClient::on_closed(std::string_view reason) {
  const bool was_cut = stream_->was_cut();
  close_stream();
  if (exchanges_.empty() || !exchanges_.front()->sent) return pump();
  HttpClientExchange& first = *exchanges_.front();
  if (first.ends_with_connection() && !was_cut) return complete(/*keeps_connection=*/false);
  if (reused_ && !first.answer_begun && !first.sent_again && is_idempotent(first.method)) {
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
  const ResponseHead& head = done->parser.head();
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
