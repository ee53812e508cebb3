#include "net/network.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace verge::net {

Result<Network> Network::parse(std::string_view text) {
  const auto malformed = [&](std::string_view why) {
    return fail("net.network", fmt::format("'{}' is no network: {}", text, why),
                "write 10.0.0.0/8, fd00::/8, or one address such as 192.0.2.7");
  };
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  const bool is_v6 = host.contains(':');
  const Result<Address> address = Address::parse(is_v6 ? fmt::format("[{}]:0", host) : host + ":0");
  if (!address || host == "localhost") return malformed("it does not begin with an IP address");
  Network network;
  network.ip_ = address->ip();
  const auto most = static_cast<unsigned>(network.ip_.size() * 8);
  network.bits_ = most;
  if (slash != std::string_view::npos) {
    const std::string_view bits = text.substr(slash + 1);
    const auto [end, problem] = std::from_chars(bits.data(), bits.data() + bits.size(), network.bits_);
    if (problem != std::errc{} || end != bits.data() + bits.size() || network.bits_ > most) {
      return malformed(fmt::format("its prefix is a number from 0 to {}", most));
    }
  }
  for (unsigned i = network.bits_; i < most; ++i) {
    if ((static_cast<unsigned char>(network.ip_[i / 8]) >> (7 - i % 8) & 1U) != 0) {
      return malformed(fmt::format("bits behind the first {} are set", network.bits_));
    }
  }
  return network;
}

bool Network::contains(const Address& address) const {
  const std::string_view ip = address.ip();
  if (ip.size() != ip_.size()) return false;
  const size_t whole = bits_ / 8;
  if (ip.substr(0, whole) != std::string_view(ip_).substr(0, whole)) return false;
  if (bits_ % 8 == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff00U >> (bits_ % 8));
  return ((static_cast<unsigned char>(ip[whole]) ^ static_cast<unsigned char>(ip_[whole])) & mask) == 0;
}

std::string Network::text() const { return fmt::format("{}/{}", Address::of_bytes(ip_, 0).ip_text(), bits_); }

bool any_contains(std::span<const Network> networks, const Address& address) {
  return std::ranges::any_of(networks, [&](const Network& network) { return network.contains(address); });
}

}  // namespace verge::net
