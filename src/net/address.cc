#include "net/address.h"

#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

namespace verge::net {
namespace {

struct HostPort {
  std::string host;
  std::string port;
};

Result<HostPort> split(std::string_view text) {
  const size_t colon = text.rfind(':');
  const auto malformed = [&] {
    return fail("net.address", fmt::format("'{}' is not an address", text),
                "write HOST:PORT, for example 127.0.0.1:1883 or [::1]:1883");
  };
  if (colon == std::string_view::npos || colon + 1 == text.size()) return malformed();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos ||
      std::stoi(std::string(port)) > 65535) {
    return fail("net.address", fmt::format("'{}' has no valid port", text), "a port is a number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed();
  }
  if (host.empty()) return malformed();
  return HostPort{std::string(host), std::string(port)};
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with("localhost:")) return parse("127.0.0.1" + std::string(text.substr(9)));
  return lookup(text, AI_NUMERICHOST | AI_NUMERICSERV);
}

Result<Address> Address::resolve(std::string_view text, int family) {
  if (Result<Address> numeric = parse(text)) return numeric;
  return lookup(text, AI_NUMERICSERV, family);
}

Result<Address> Address::lookup(std::string_view text, int flags, int family) {
  const Result<HostPort> parts = split(text);
  if (!parts) return std::unexpected(parts.error());
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int problem = getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found);
  if (problem != 0) {
    return fail("net.resolve", fmt::format("host '{}' cannot be resolved: {}", parts->host, gai_strerror(problem)),
                "use an IP address or a name that this machine's resolver knows");
  }
  Address address;
  std::memcpy(&address.storage_, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return address;
}

Address Address::local_of(int socket) {
  Address address;
  socklen_t size = sizeof(address.storage_);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address.storage_), &size);
  return address;
}

Address Address::peer_of(int socket) {
  Address address;
  socklen_t size = sizeof(address.storage_);
  getpeername(socket, reinterpret_cast<sockaddr*>(&address.storage_), &size);
  return address;
}

socklen_t Address::raw_size() const { return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }

uint16_t Address::port() const {
  if (family() == AF_INET6) return ntohs(storage_.sin6_port);
  if (family() != AF_INET) return 0;
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
}

bool Address::is_loopback() const {
  if (family() == AF_UNIX) return true;
  if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&storage_.sin6_addr);
  return (ntohl(reinterpret_cast<const sockaddr_in&>(storage_).sin_addr.s_addr) >> 24) == 127;
}

Address Address::of_bytes(std::string_view ip, uint16_t port) {
  Address address;
  if (ip.size() == sizeof(in6_addr)) {
    address.storage_.sin6_family = AF_INET6;
    address.storage_.sin6_port = htons(port);
    std::memcpy(&address.storage_.sin6_addr, ip.data(), ip.size());
  } else if (ip.size() == sizeof(in_addr)) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage_);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip.data(), ip.size());
  }
  return address;
}

std::string_view Address::ip() const {
  if (family() == AF_INET) {
    const in_addr& v4 = reinterpret_cast<const sockaddr_in&>(storage_).sin_addr;
    return {reinterpret_cast<const char*>(&v4), sizeof(v4)};
  }
  if (family() != AF_INET6) return {};
  const in6_addr& v6 = storage_.sin6_addr;
  const std::string_view bytes{reinterpret_cast<const char*>(&v6), sizeof(v6)};
  return IN6_IS_ADDR_V4MAPPED(&v6) ? bytes.substr(12) : bytes;
}

std::string Address::ip_text() const {
  const std::string_view bytes = ip();
  char text[INET6_ADDRSTRLEN] = "";
  if (!bytes.empty()) inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof(text));
  return text;
}

std::string Address::text() const {
  char host[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &storage_.sin6_addr, host, sizeof(host));
    return fmt::format("[{}]:{}", host, port());
  }
  if (family() == AF_UNIX) return "unix";
  inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage_).sin_addr, host, sizeof(host));
  return fmt::format("{}:{}", host, port());
}

}  // namespace verge::net
