#include "net/socket.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace verge::net {
namespace {

std::unexpected<Error> listen_failed(const Address& address, int problem) {
  std::string fix = "choose an address of this machine";
  if (problem == EADDRINUSE) {
    fix = fmt::format("stop the program that uses it (ss -ltnp 'sport = :{}' names it) or set another port, 0 for any",
                      address.port());
  } else if (problem == EACCES) {
    fix = "ports below 1024 need CAP_NET_BIND_SERVICE; set a higher port";
  }
  return fail(problem == EADDRINUSE ? "net.port-in-use" : "net.listen",
              fmt::format("cannot listen on {}: {}", address.text(), std::strerror(problem)), fix);
}

}  // namespace

Result<Socket> Socket::listen(const Address& address, bool shared) {
  Socket socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return listen_failed(address, errno);
  const int on = 1;
  setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (shared) setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (address.family() == AF_INET6) setsockopt(socket.descriptor(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(socket.descriptor(), address.raw(), address.raw_size()) != 0) return listen_failed(address, errno);
  if (::listen(socket.descriptor(), 4096) != 0) return listen_failed(address, errno);
  return socket;
}

Result<Socket> Socket::connect(const Address& address, const LocalEnd& from) {
  Socket socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail("net.connect", fmt::format("cannot open a socket: {}", std::strerror(errno)));
  if (const Result<void> bound = from.bind(socket.descriptor(), address.family()); !bound) {
    return std::unexpected(bound.error());
  }
  if (::connect(socket.descriptor(), address.raw(), address.raw_size()) != 0 && errno != EINPROGRESS) {
    return fail("net.connect", fmt::format("cannot connect to {}: {}", address.text(), std::strerror(errno)),
                "check that a server listens there");
  }
  return socket;
}

void Socket::send_at_once() const {
  const int on = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int Socket::take_error() const {
  int problem = 0;
  socklen_t size = sizeof(problem);
  getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &problem, &size);
  return problem;
}

}  // namespace verge::net
