#include "net/resolve.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <netdb.h>

namespace verge::net {
namespace {

// Of an entry, as a number that Address::parse() reads: with the scope of a link-local address.
Result<Address> address_of(const addrinfo& entry, std::string_view port) {
  char host[NI_MAXHOST] = "";
  if (getnameinfo(entry.ai_addr, entry.ai_addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) {
    return fail("net.resolve", "an address has no text", "");
  }
  return Address::parse(entry.ai_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                                    : fmt::format("{}:{}", host, port));
}

}  // namespace

Result<std::vector<Address>> resolve_all(std::string_view host_and_port) {
  // What is no name, and what is no HOST:PORT.
  if (const Result<Address> numeric = Address::parse(host_and_port); numeric || numeric.error().code == "net.address") {
    if (!numeric) return std::unexpected(numeric.error());
    return std::vector{*numeric};
  }
  const size_t colon = host_and_port.rfind(':');
  const std::string host(host_and_port.substr(0, colon));
  const std::string_view port = host_and_port.substr(colon + 1);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int problem = getaddrinfo(host.c_str(), nullptr, &hints, &list); problem != 0) {
    return fail("net.resolve", fmt::format("host '{}' cannot be resolved: {}", host, gai_strerror(problem)),
                "use an IP address or a name that this machine's resolver knows");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(list, &freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* entry = found.get(); entry != nullptr && addresses.size() < kResolvedMax;
       entry = entry->ai_next) {
    const Result<Address> address = address_of(*entry, port);
    if (!address) continue;
    const auto same = [&](const Address& other) { return other.text() == address->text(); };
    if (std::ranges::none_of(addresses, same)) addresses.push_back(*address);
  }
  if (addresses.empty()) {
    return fail("net.resolve", fmt::format("host '{}' has no address", host),
                "use an IP address or a name that this machine's resolver knows");
  }
  return addresses;
}

bool is_name(std::string_view host_and_port) { return !Address::parse(host_and_port); }

}  // namespace verge::net
