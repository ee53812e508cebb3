#include "net/listener.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "base/log.h"

namespace verge::net {
namespace {

constexpr int kAcceptsATurn = 64;
constexpr Duration kPause = std::chrono::milliseconds(100);

}  // namespace

Result<std::vector<Socket>> listen_on_loops(const Address& address, size_t loops) {
  Address bound = address;
  {
    const Result<Socket> probe = Socket::listen(address, /*shared=*/false);
    if (!probe) return std::unexpected(probe.error());
    bound = Address::local_of(probe->descriptor());
  }
  std::vector<Socket> sockets;
  for (size_t i = 0; i < loops; ++i) {
    Result<Socket> socket = Socket::listen(bound, /*shared=*/true);
    if (!socket) return std::unexpected(socket.error());
    sockets.push_back(std::move(*socket));
  }
  return sockets;
}

TcpListener::TcpListener(runtime::Loop& loop, Socket socket, std::function<void(Socket)> accepted)
    : loop_(loop), socket_(std::move(socket)), accepted_(std::move(accepted)), resume_(loop) {
  loop_.watch(socket_.descriptor(), EPOLLIN, *this);
}

TcpListener::~TcpListener() { loop_.unwatch(socket_.descriptor(), *this); }

void TcpListener::on_ready(uint32_t) {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    Socket connection(::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection) {
      accepted_(std::move(connection));
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log_warning("net", "cannot accept a connection: {}; raise the limit on open files (ulimit -n)",
                  std::strerror(errno));
      loop_.rewatch(socket_.descriptor(), 0, *this);
      resume_.after(kPause, [this] { loop_.rewatch(socket_.descriptor(), EPOLLIN, *this); });
      return;
    }
    // Anything else concerns that one connection.
  }
}

}  // namespace verge::net
