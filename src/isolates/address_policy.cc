#include "isolates/address_policy.h"

#include <array>
#include <span>
#include <string_view>

#include "base/assert.h"

namespace verge::isolates {
namespace {

constexpr std::array<std::string_view, 24> kPrivate = {
    "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",   "192.0.2.0/24",  "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",   "240.0.0.0/4",    "::/96",          "64:ff9b::/96",   "64:ff9b:1::/48",
    "100::/64",       "2001:db8::/32", "2002::/16",      "fc00::/7",       "fe80::/10",      "ff00::/8"};

constexpr std::array<std::string_view, 10> kNear = {"0.0.0.0/8",   "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4",
                                                    "240.0.0.0/4", "::/96",       "64:ff9b::/96",   "2002::/16",
                                                    "fe80::/10",   "ff00::/8"};

std::vector<net::Network> networks_of(std::span<const std::string_view> texts) {
  std::vector<net::Network> networks;
  for (const std::string_view text : texts) {
    const Result<net::Network> network = net::Network::parse(text);
    VERGE_ASSERT(network.has_value());
    networks.push_back(*network);
  }
  return networks;
}

}  // namespace

bool is_private(const net::Address& address) {
  static const std::vector<net::Network> networks = networks_of(kPrivate);
  return net::any_contains(networks, address);
}

bool is_near(const net::Address& address) {
  static const std::vector<net::Network> networks = networks_of(kNear);
  return net::any_contains(networks, address);
}

bool may_be_reached(const AddressPolicy& policy, const net::Address& address) {
  return policy.allows_private || net::any_contains(policy.allowed, address) || !is_private(address);
}

}  // namespace verge::isolates
