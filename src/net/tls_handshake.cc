#include "net/tls_handshake.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "net/proxy_header.h"

namespace verge::net {
namespace {

constexpr std::string_view kCode = "net.tls-handshake";
constexpr size_t kReadBytes = 32U << 10;
constexpr Duration kLinger = std::chrono::seconds(1);

}  // namespace

TlsHandshake::TlsHandshake(runtime::Loop& loop, Socket socket, Duration time_max, Done done, bool proxied)
    : loop_(loop),
      socket_(std::move(socket)),
      peer_(Address::peer_of(socket_.descriptor())),
      done_(std::move(done)),
      proxied_(proxied),
      timer_(loop) {
  socket_.send_at_once();
  interest_ = EPOLLIN;
  loop_.watch(socket_.descriptor(), interest_, *this);
  timer_.after(time_max, [this] {
    if (!failing_) failure_ = {kCode, "the other side was not done in time", {}};
    finish(std::unexpected(std::move(failure_)));
  });
}

TlsHandshake::~TlsHandshake() {
  if (socket_) loop_.unwatch(socket_.descriptor(), *this);
}

void TlsHandshake::start() {
  if (socket_.tls()->handshake({}) == TlsSession::State::kFailed) {
    failure_ = socket_.tls()->failure();
    failing_ = true;
    return timer_.after(Duration(1), [this] { finish(std::unexpected(std::move(failure_))); });
  }
  watch_for_output(true);
}

void TlsHandshake::on_ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0 && !send()) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
}

void TlsHandshake::read() {
  std::vector<char>& buffer = loop_.read_buffer();
  const ssize_t got = ::recv(socket_.descriptor(), buffer.data(), kReadBytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0 && failing_) return;
  const std::string_view bytes(buffer.data(), got > 0 ? static_cast<size_t>(got) : 0);
  if (got > 0) return proxied_ ? read_header(bytes) : go_on(bytes);
  if (!failing_) failure_ = {kCode, got == 0 ? "the other side left" : std::strerror(errno), {}};
  finish(std::unexpected(std::move(failure_)));
}

void TlsHandshake::read_header(std::string_view bytes) {
  const size_t before = header_.size();
  header_.append(bytes);
  const ProxyHeader header = ProxyHeader::parse(header_);
  if (header.progress == ProxyHeader::Progress::kNeedMore) return;
  if (header.progress == ProxyHeader::Progress::kRefused) {
    return finish(std::unexpected(Error{kCode, "a trusted proxy sent no PROXY header", {}}));
  }
  proxied_ = false;
  client_ = header.client;
  // What was kept before did not make a whole header: it ends within these bytes.
  if (bytes = bytes.substr(header.bytes - before); !bytes.empty()) go_on(bytes);
}

void TlsHandshake::go_on(std::string_view bytes) {
  const TlsSession::State state = socket_.tls()->handshake(bytes);
  if (state == TlsSession::State::kFailed) return begin_to_fail(socket_.tls()->failure());
  if (!send()) return;
  // What is left to send, and what came early, goes along with the session.
  if (state == TlsSession::State::kOpen) finish(std::move(socket_));
}

bool TlsHandshake::send() {
  std::string& output = socket_.tls()->output();
  while (!output.empty()) {
    const ssize_t sent = ::send(socket_.descriptor(), output.data(), output.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      if (!failing_) failure_ = {kCode, std::strerror(errno), {}};
      finish(std::unexpected(std::move(failure_)));
      return false;
    }
    if (sent < 0) break;
    output.erase(0, static_cast<size_t>(sent));
  }
  watch_for_output(!output.empty());
  return true;
}

void TlsHandshake::watch_for_output(bool wanted) {
  const uint32_t interest = EPOLLIN | (wanted ? EPOLLOUT : 0U);
  if (interest == interest_) return;
  interest_ = interest;
  loop_.rewatch(socket_.descriptor(), interest_, *this);
}

void TlsHandshake::begin_to_fail(Error error) {
  failing_ = true;
  failure_ = std::move(error);
  timer_.after(kLinger, [this] { finish(std::unexpected(std::move(failure_))); });
  if (!send()) return;
  ::shutdown(socket_.descriptor(), SHUT_WR);
}

void TlsHandshake::finish(Result<Socket> result) {
  timer_.cancel();
  Socket& watched = result ? *result : socket_;
  loop_.unwatch(watched.descriptor(), *this);
  if (!result) const Socket closed = std::move(socket_);
  const Done done = std::exchange(done_, nullptr);
  done(std::move(result));  // may destroy this object
}

}  // namespace verge::net
