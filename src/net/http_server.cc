#include "net/http_server.h"

#include <utility>

#include "base/assert.h"
#include "net/http2_connection.h"
#include "net/http_connection.h"

namespace verge::net {
namespace {

// Connections above connections_max that are told so; any more are closed without a word.
constexpr size_t kRefusedMax = 64;
// Streams that are over and wait for the next request.
constexpr size_t kSpareStreamsMax = 256;

std::unique_ptr<Stream> make_tcp_stream(runtime::Loop& loop, Socket socket, StreamObserver& observer) {
  return std::make_unique<TcpStream>(loop, std::move(socket), observer);
}

}  // namespace

HttpServer::HttpServer(runtime::Loop& loop, const HttpServerLimits& limits, RequestReceiver receiver,
                       StreamMaker make_stream)
    : loop_(loop),
      limits_(limits),
      receiver_(std::move(receiver)),
      make_stream_(make_stream ? std::move(make_stream) : make_tcp_stream),
      body_room_(limits_.bodies_bytes_max, limits_.sender_bodies_bytes_max) {}

HttpServer::~HttpServer() {
  loop_.forget_turn_end(*this);
  connections_.clear();
}

void HttpServer::accept(Socket socket) {
  if (draining_ || connections_.size() >= limits_.connections_max + kRefusedMax) return;
  const size_t index = connections_.size();
  if (socket.tls() != nullptr && socket.tls()->protocol() == "h2") {
    connections_.push_back(std::make_unique<Http2Connection>(*this, std::move(socket), index));
  } else {
    connections_.push_back(std::make_unique<HttpConnection>(*this, std::move(socket), index));
  }
  if (index >= limits_.connections_max) connections_.back()->refuse(503, "there are too many connections");
}

void HttpServer::drain(std::function<void()> drained) {
  draining_ = true;
  drain_until_ = loop_.now() + limits_.drain_grace;
  drained_ = std::move(drained);
  for (const std::unique_ptr<HttpServerConnection>& connection : connections_) connection->close_soon();
  loop_.at_turn_end(*this);
}

void HttpServer::cut_off() {
  for (const std::unique_ptr<HttpServerConnection>& connection : connections_) connection->end();
}

void HttpServer::remove(HttpServerConnection& connection) {
  removed_.push_back(&connection);
  loop_.at_turn_end(*this);
}

void HttpServer::change_to_http2(HttpConnection& from, std::unique_ptr<Stream> stream, std::string_view bytes) {
  auto made = std::make_unique<Http2Connection>(*this, std::move(stream), from.index);
  Http2Connection& connection = *made;
  replaced_.push_back(std::exchange(connections_[from.index], std::move(made)));
  loop_.at_turn_end(*this);
  connection.on_bytes(bytes);
  if (draining_) connection.close_soon();
}

std::unique_ptr<Http2Stream> HttpServer::take_stream() {
  if (spare_streams_.empty()) return std::make_unique<Http2Stream>();
  std::unique_ptr<Http2Stream> stream = std::move(spare_streams_.back());
  spare_streams_.pop_back();
  return stream;
}

void HttpServer::keep_stream(std::unique_ptr<Http2Stream> stream) {
  if (spare_streams_.size() < kSpareStreamsMax) spare_streams_.push_back(std::move(stream));
}

void HttpServer::on_turn_end() {
  replaced_.clear();
  for (const HttpServerConnection* connection : std::exchange(removed_, {})) {
    const size_t index = connection->index;
    VERGE_ASSERT(connections_[index].get() == connection);
    std::swap(connections_[index], connections_.back());
    connections_[index]->index = index;
    connections_.pop_back();
  }
  if (!draining_ || !connections_.empty() || !drained_) return;
  const std::function<void()> drained = std::exchange(drained_, nullptr);
  drained();  // may destroy the server
}

const std::string& HttpServer::date() {
  if (loop_.now() >= date_until_) {
    date_ = http_date(SystemClock().wall());
    date_until_ = loop_.now() + std::chrono::seconds(1);
  }
  return date_;
}

}  // namespace verge::net
