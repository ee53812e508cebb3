// Where to listen or connect: an IP address and a port, written "127.0.0.1:1883" or "[::1]:1883". Of who is connected
// by a Unix socket it says only that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"

namespace verge::net {

class Address {
 public:
  Address() = default;
  // Numeric addresses and "localhost". Blocks never.
  static Result<Address> parse(std::string_view text);
  // Also host names, by getaddrinfo(3): may block for seconds; call from a blocking thread. `family`: AF_INET,
  // AF_INET6, or either.
  static Result<Address> resolve(std::string_view text, int family = AF_UNSPEC);
  static Address local_of(int socket);
  static Address peer_of(int socket);
  // Of 4 or 16 bytes in network order.
  static Address of_bytes(std::string_view ip, uint16_t port);

  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t raw_size() const;
  [[nodiscard]] int family() const { return storage_.sin6_family; }
  [[nodiscard]] uint16_t port() const;
  // Of this machine.
  [[nodiscard]] bool is_loopback() const;
  // 4 bytes, or 16, in network order; of an IPv4 address in IPv6 clothes (::ffff:1.2.3.4) the 4. Empty: neither.
  [[nodiscard]] std::string_view ip() const;
  // Without the port and brackets; an IPv4 address in IPv6 clothes as IPv4.
  [[nodiscard]] std::string ip_text() const;
  [[nodiscard]] std::string text() const;

 private:
  static Result<Address> lookup(std::string_view text, int flags, int family = AF_UNSPEC);
  sockaddr_in6 storage_{};  // the longest of those; each connection has one
};

}  // namespace verge::net
