#include "net/connecting.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace verge::net {

Connecting::Connecting(runtime::Loop& loop, const Address& address, std::string host,
                       std::shared_ptr<const TlsContext> tls, Duration time_max, Done done, const LocalEnd& from,
                       uint64_t descriptors_max)
    : loop_(loop),
      address_(address),
      host_(std::move(host)),
      tls_(std::move(tls)),
      time_max_(time_max),
      done_(std::move(done)),
      timer_(loop) {
  Result<Socket> socket = Socket::connect(address_, from);
  if (socket && static_cast<uint64_t>(socket->descriptor()) >= descriptors_max) {
    socket = fail("http.connect-failed",
                  fmt::format("cannot connect to {}: the descriptors that are not kept for the node's own files are "
                              "used up",
                              address_.text()),
                  "raise the limit on open files (LimitNOFILE=, ulimit -n)");
  }
  if (!socket) {
    socket.error().code = "http.connect-failed";
    timer_.after(Duration(1), [this, error = std::move(socket.error())] { finish(std::unexpected(error)); });
    return;
  }
  socket_ = std::move(*socket);
  loop_.watch(socket_.descriptor(), EPOLLOUT, *this);
  timer_.after(time_max_, [this] {
    finish(fail("http.connect-timeout", fmt::format("{} did not answer in time", address_.text()),
                "check the address and the network between"));
  });
}

Connecting::~Connecting() {
  if (socket_) loop_.unwatch(socket_.descriptor(), *this);
}

void Connecting::on_ready(uint32_t) {
  const int problem = socket_.take_error();
  if (problem == 0) {
    loop_.unwatch(socket_.descriptor(), *this);
    timer_.cancel();
    return tls_ ? agree_on_tls() : finish(std::move(socket_));
  }
  finish(fail(problem == ECONNREFUSED ? "http.connect-refused" : "http.connect-failed",
              fmt::format("cannot connect to {}: {}", address_.text(), std::strerror(problem)),
              "check that a server listens there"));
}

void Connecting::agree_on_tls() {
  socket_.speak(tls_->make_session());
  handshake_ = std::make_unique<TlsHandshake>(loop_, std::move(socket_), time_max_, [this](Result<Socket> agreed) {
    if (!agreed) {
      agreed.error().what =
          fmt::format("{} ({}) cannot be reached by TLS: {}", host_, address_.text(), agreed.error().what);
    }
    finish(std::move(agreed));
  });
  handshake_->start();
}

void Connecting::finish(Result<Socket> result) {
  timer_.cancel();
  const Done done = std::exchange(done_, nullptr);
  done(std::move(result));  // may destroy this object
}

}  // namespace verge::net
