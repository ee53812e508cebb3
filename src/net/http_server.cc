#include "net/http_server.h"

#include <utility>

#include "base/assert.h"
#include "net/http_connection.h"

namespace verge::net {
namespace {

// Connections above connections_max that are told so; any more are closed without a word.
constexpr size_t kRefusedMax = 64;

std::unique_ptr<Stream> make_tcp_stream(runtime::Loop& loop, Socket socket, StreamObserver& observer) {
  return std::make_unique<TcpStream>(loop, std::move(socket), observer);
}

}  // namespace

HttpServer::HttpServer(runtime::Loop& loop, const HttpServerLimits& limits, RequestReceiver receiver,
                       StreamMaker make_stream)
    : loop_(loop),
      limits_(limits),
      receiver_(std::move(receiver)),
      make_stream_(make_stream ? std::move(make_stream) : make_tcp_stream) {}

HttpServer::~HttpServer() {
  loop_.forget_turn_end(*this);
  connections_.clear();
}

void HttpServer::accept(Socket socket) {
  if (draining_ || connections_.size() >= limits_.connections_max + kRefusedMax) return;
  const size_t index = connections_.size();
  connections_.push_back(std::make_unique<HttpConnection>(*this, std::move(socket), index));
  if (index >= limits_.connections_max) connections_.back()->refuse(503, "there are too many connections");
}

void HttpServer::drain(std::function<void()> drained) {
  draining_ = true;
  drain_until_ = loop_.now() + limits_.drain_grace;
  drained_ = std::move(drained);
  for (const std::unique_ptr<HttpConnection>& connection : connections_) connection->close_soon();
  loop_.at_turn_end(*this);
}

void HttpServer::cut_off() {
  for (const std::unique_ptr<HttpConnection>& connection : connections_) connection->end();
}

void HttpServer::remove(HttpConnection& connection) {
  removed_.push_back(&connection);
  loop_.at_turn_end(*this);
}

void HttpServer::on_turn_end() {
  for (const HttpConnection* connection : std::exchange(removed_, {})) {
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
