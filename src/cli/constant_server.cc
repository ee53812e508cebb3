#include "cli/constant_server.h"

#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/ready_file.h"
#include "net/address.h"
#include "net/socket.h"

namespace verge::cli {
namespace {

struct Connection {
  size_t ends_seen = 0;  // bytes of "\r\n\r\n" that came last
  std::string output;    // not yet taken by the kernel
};

constexpr std::string_view kEnd = "\r\n\r\n";

// How many heads end in the bytes.
size_t count_heads(Connection& connection, std::string_view bytes) {
  size_t heads = 0;
  for (const char c : bytes) {
    connection.ends_seen = c == kEnd[connection.ends_seen] ? connection.ends_seen + 1 : (c == '\r' ? 1 : 0);
    if (connection.ends_seen == kEnd.size()) {
      ++heads;
      connection.ends_seen = 0;
    }
  }
  return heads;
}

// Sends what the kernel takes of the output. False when the connection is at its end.
bool send_output(int epoll, int descriptor, Connection& connection) {
  const ssize_t sent = send(descriptor, connection.output.data(), connection.output.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  if (sent > 0) connection.output.erase(0, static_cast<size_t>(sent));
  epoll_event interest{.events = connection.output.empty() ? EPOLLIN : EPOLLOUT, .data = {.fd = descriptor}};
  epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &interest);
  return true;
}

// Takes what came, and answers each head in it. False when the connection is at its end.
bool serve(int epoll, int descriptor, Connection& connection, std::string_view answer, std::span<char> buffer) {
  const ssize_t received = recv(descriptor, buffer.data(), buffer.size(), 0);
  if (received == 0 || (received < 0 && errno != EAGAIN)) return false;
  const size_t heads = received > 0 ? count_heads(connection, {buffer.data(), static_cast<size_t>(received)}) : 0;
  if (heads == 0) return true;
  size_t taken = 0;
  if (heads == 1) {
    // What nearly always happens costs no copy.
    const ssize_t sent = send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    taken = sent > 0 ? static_cast<size_t>(sent) : 0;
    if (taken == answer.size()) return true;
  }
  connection.output = answer.substr(taken);
  for (size_t n = 1; n < heads; ++n) connection.output.append(answer);
  return send_output(epoll, descriptor, connection);
}

void accept_one(int epoll, int listening, std::unordered_map<int, Connection>& connections) {
  const int accepted = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted < 0) return;
  const int on = 1;
  setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  epoll_event interest{.events = EPOLLIN, .data = {.fd = accepted}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &interest);
  connections.try_emplace(accepted);
}

}  // namespace

Result<void> serve_constant(const std::string& listen, size_t body_bytes, const std::string& ready_file) {
  const Result<net::Address> address = net::Address::resolve(listen);
  if (!address) return std::unexpected(address.error());
  const Result<net::Socket> listening = net::Socket::listen(*address, /*shared=*/false);
  if (!listening) return std::unexpected(listening.error());
  const std::string bound = net::Address::local_of(listening->descriptor()).text();
  const Result<void> written = write_ready_file(ready_file, fmt::format("{{\"http\":[\"{}\"]}}", bound));
  if (!written) return written;
  fmt::print(stderr, "constant: listening on {}\n", bound);
  const std::string answer =
      fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body_bytes) +
      std::string(body_bytes, 'x');
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event own{.events = EPOLLIN, .data = {.fd = listening->descriptor()}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listening->descriptor(), &own);
  std::unordered_map<int, Connection> connections;
  std::array<epoll_event, 256> events{};
  std::array<char, 1 << 16> buffer{};
  while (true) {
    const int ready = epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < ready; ++i) {
      const int descriptor = events[static_cast<size_t>(i)].data.fd;
      if (descriptor == listening->descriptor()) {
        accept_one(epoll, descriptor, connections);
        continue;
      }
      Connection& connection = connections[descriptor];
      const bool is_open = connection.output.empty() ? serve(epoll, descriptor, connection, answer, buffer)
                                                     : send_output(epoll, descriptor, connection);
      if (is_open) continue;
      close(descriptor);
      connections.erase(descriptor);
    }
  }
}

}  // namespace verge::cli
