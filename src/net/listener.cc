#include "net/listener.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"

namespace verge::net {
namespace {

constexpr int kAcceptsATurn = 64;
constexpr Duration kPause = std::chrono::milliseconds(100);
constexpr Duration kQuiet = std::chrono::seconds(10);

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

TcpListener::TcpListener(runtime::Loop& loop, Socket socket, std::function<void(Socket)> accepted,
                         uint64_t descriptors_max)
    : loop_(loop),
      socket_(std::move(socket)),
      accepted_(std::move(accepted)),
      descriptors_max_(descriptors_max),
      failures_(kQuiet),
      resume_(loop) {
  loop_.watch(socket_.descriptor(), EPOLLIN, *this);
}

TcpListener::~TcpListener() { loop_.unwatch(socket_.descriptor(), *this); }

void TcpListener::on_ready(uint32_t) {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    Socket connection(::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection && static_cast<uint64_t>(connection.descriptor()) >= descriptors_max_) {
      note_failure("the descriptors that are not kept for the node's own files are used up");
      continue;
    }
    if (connection) {
      accepted_(std::move(connection));
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      note_failure(std::strerror(errno));
      loop_.rewatch(socket_.descriptor(), 0, *this);
      resume_.after(kPause, [this] { loop_.rewatch(socket_.descriptor(), EPOLLIN, *this); });
      return;
    }
    // Anything else concerns that one connection.
  }
}

void TcpListener::note_failure(std::string_view what) {
  const std::optional<uint64_t> others = failures_.due(loop_.now());
  if (!others) return;
  log_warning("net", "cannot accept a connection: {}; raise the limit on open files (LimitNOFILE=, ulimit -n){}", what,
              *others == 0 ? "" : fmt::format("; {} times more since the last such line", *others));
}

}  // namespace verge::net
