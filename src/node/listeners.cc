#include "node/listeners.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "net/address.h"
#include "net/socket.h"
#include "node/config_address.h"

namespace verge::node {
namespace {

// Whether who connects to `url` is served by who listens on `text`, both on one machine.
bool is_reached_by(const std::string& text, const std::string& url) {
  const Result<HostAndPort> own = parse_listen_address(text);
  const Result<ParentAddress> parent = parse_parent_url(url);
  if (!own || !parent || own->port != parent->at.port) return false;
  const auto numeric = [](const std::string& host) { return lower(host) == "localhost" ? "127.0.0.1" : lower(host); };
  const std::string host = numeric(parent->at.host);
  const bool is_wide = own->host == "0.0.0.0" || own->host == "::";
  return host == numeric(own->host) || (is_wide && (host.starts_with("127.") || host == "::1"));
}

struct ListenKey {
  std::string_view key;
  const std::vector<std::string>* addresses;
  std::string open;  // what strangers could do there; empty: nothing
  std::string fix;   // beside listening on loopback
};

// Plain listeners protect nothing: a token that crosses a network in clear is anybody's. What TLS listeners protect is
// what a client certificate or a token is demanded for.
std::vector<ListenKey> listeners_of(const Config& config) {
  const std::string plain = "clients are not authenticated";
  const std::string use_tls = "use tls_listen with tls.client_ca";
  const bool certified = !config.tls.client_ca.empty();
  std::string http_open;
  std::string http_fix = "set tls.client_ca";
  if (!certified && config.http.ingest) {
    http_open = "clients that post events are not authenticated";
    if (!config.http.uplink_tokens.empty()) http_fix += ", or http.ingest = false for children only";
  } else if (!certified && config.http.uplink && config.http.uplink_tokens.empty()) {
    http_open = "children are not authenticated";
    http_fix += " or http.uplink_tokens";
  }
  const bool has_passwords = !config.mqtt.password_file.empty();
  return {{"mqtt.listen", &config.mqtt.listen, has_passwords ? "passwords cross the network in clear" : plain, use_tls},
          {"http.listen", &config.http.listen, plain, use_tls},
          {"admin.listen", &config.admin.listen, plain, "use a tunnel"},
          {"mqtt.ws_listen", &config.mqtt.ws_listen, has_passwords ? "passwords cross the network in clear" : plain,
           "use ws_tls_listen with tls.client_ca"},
          {"mqtt.ws_tls_listen", &config.mqtt.ws_tls_listen, certified || has_passwords ? "" : plain,
           "set tls.client_ca or mqtt.password_file"},
          {"mqtt.tls_listen", &config.mqtt.tls_listen, certified || has_passwords ? "" : plain,
           "set tls.client_ca or mqtt.password_file"},
          {"http.tls_listen", &config.http.tls_listen, http_open, http_fix}};
}

}  // namespace

ConfigProblems check_listeners(const Config& config) {
  ConfigProblems problems;
  std::map<std::string, std::string_view> taken;
  for (const ListenKey& each : listeners_of(config)) {
    for (const std::string& text : *each.addresses) {
      const Result<net::Address> address = net::Address::parse(text);
      if (!config.node.allow_anonymous && !each.open.empty() && !(address && address->is_loopback())) {
        problems.push_back(
            {{"config.exposed",
              fmt::format("{} = {} can be reached from other machines, and {}", each.key, text, each.open),
              fmt::format("listen on 127.0.0.1, {}, or set node.allow_anonymous = true where the network is trusted",
                          each.fix)},
             config.place_of(each.key)});
      }
      if (!address || address->port() == 0) continue;
      const auto [other, is_new] = taken.emplace(address->text(), each.key);
      if (is_new) continue;
      // One of them may be a default, which stands nowhere.
      std::string place = config.origin.place_of_given(each.key);
      if (place.empty()) place = config.place_of(other->second);
      problems.push_back(
          {{"config.address-twice", fmt::format("{} and {} would both listen on {}", other->second, each.key, text),
            "give one of them another port; port 0 takes a free one"},
           std::move(place)});
    }
  }
  for (const std::string& text : config.http.listen) {
    std::vector<std::pair<std::string, std::string>> urls = {{"parent.url", config.parent.url}};
    for (const PathConfig& path : config.parent.paths) urls.emplace_back("parent.paths", path.url);
    for (const auto& [key, url] : urls) {
      if (!is_reached_by(text, url)) continue;
      problems.push_back(
          {{"config.value", fmt::format("{} = {} is {}, where this node itself listens (http.listen)", key, url, text),
            "set it to the node one tier up, or leave it out where there is none"},
           config.place_of(key)});
    }
  }
  return problems;
}

Result<void> check_addresses_are_free(const Config& config) {
  for (const ListenKey& each : listeners_of(config)) {
    for (const std::string& text : *each.addresses) {
      const Result<net::Address> address = net::Address::parse(text);
      if (!address || address->port() == 0) continue;
      if (const auto socket = net::Socket::listen(*address, /*shared=*/false); !socket) {
        return std::unexpected(socket.error());
      }
    }
  }
  return {};
}

}  // namespace verge::node
