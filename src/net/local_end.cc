#include "net/local_end.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace verge::net {
namespace {

bool is_ip(int family, const std::string& text) {
  in6_addr address{};
  return inet_pton(family, text.c_str(), &address) == 1;
}

// As the kernel has it (dev_valid_name).
bool is_interface_name(std::string_view text) {
  return !text.empty() && text.size() < IFNAMSIZ && text != "." && text != ".." &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != ':'; });
}

std::unexpected<Error> failed(std::string_view what, int problem) {
  return fail("net.local-end", fmt::format("cannot send from {}: {}", what, std::strerror(problem)),
              "give an address or an interface that this machine has (ip addr)");
}

}  // namespace

Result<LocalEnd> LocalEnd::parse(std::string_view text) {
  LocalEnd end;
  if (text.empty()) return end;
  const std::string host(text);
  const bool is_v6 = is_ip(AF_INET6, host);
  if (is_v6 || is_ip(AF_INET, host)) {
    const Result<Address> address = Address::parse(is_v6 ? fmt::format("[{}]:0", host) : host + ":0");
    if (!address) return std::unexpected(address.error());
    end.address = *address;
    return end;
  }
  if (!is_interface_name(text)) {
    return fail("net.local-end", fmt::format("'{}' is neither an IP address nor the name of a network interface", text),
                "write an address of this machine without a port, or a name such as eth0");
  }
  end.interface = host;
  return end;
}

Result<void> LocalEnd::bind(int socket, int family) const {
  if (!interface.empty() && setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                                       static_cast<socklen_t>(interface.size())) != 0) {
    return failed(interface, errno);
  }
  if (address.family() == AF_UNSPEC) return {};
  std::string host = address.text();
  host.resize(host.rfind(':'));
  if (address.family() != family) return failed(host, EAFNOSUPPORT);
  // The port is chosen with the connection, so that each of this machine's serves for many.
  const int on = 1;
  setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  if (::bind(socket, address.raw(), address.raw_size()) != 0) return failed(host, errno);
  return {};
}

}  // namespace verge::net
