// The sockets that a node listens on, handed over or its own, and who is given what comes from them.
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "net/address.h"
#include "net/proxied_stream.h"
#include "node/admin_api.h"
#include "node/node.h"

namespace verge::node {

Result<void> Node::open_listeners(net::HandedOver handed_over) {
  const Take to_broker = [](Shard& shard, net::Socket socket) {
    take_mqtt(shard, std::move(socket), [&shard](net::Socket client) { shard.broker->accept(std::move(client)); });
  };
  const auto offer = std::make_shared<const net::WebSocketOffer>(
      net::WebSocketOffer{.path = "/mqtt", .protocol = "mqtt", .origins = config_.mqtt.ws_origins});
  const Take to_broker_by_websocket = [offer](Shard& shard, net::Socket socket) {
    take_mqtt(shard, std::move(socket), [&shard, offer](net::Socket client) {
      client.speak(std::make_unique<net::WebSocketSession>(offer));
      shard.broker->accept(std::move(client));
    });
  };
  const Take to_http = [](Shard& shard, net::Socket socket) { shard.http->accept(std::move(socket)); };
  Result<void> opened = listen("mqtt", config_.mqtt.listen, handed_over, mqtt_addresses_, to_broker);
  if (opened) opened = listen("mqtt", config_.mqtt.ws_listen, handed_over, mqtt_ws_addresses_, to_broker_by_websocket);
  if (opened) opened = listen("http", config_.http.listen, handed_over, http_addresses_, to_http);
  if (opened) opened = listen_with_tls("mqtt", config_.mqtt.tls_listen, handed_over, mqtt_tls_addresses_, to_broker);
  if (opened) {
    opened = listen_with_tls("mqtt", config_.mqtt.ws_tls_listen, handed_over, mqtt_ws_tls_addresses_,
                             to_broker_by_websocket);
  }
  if (opened) opened = listen_with_tls("http", config_.http.tls_listen, handed_over, http_tls_addresses_, to_http);
  if (opened) opened = listen_on_paths();
  if (opened) opened = open_admin_listeners(handed_over);
  expect_proxies(config_.http, config_.mqtt);  // before those loops run
  return opened ? handed_over.check_all_claimed() : opened;
}

void Node::take_mqtt(Shard& shard, net::Socket socket, std::function<void(net::Socket)> to_broker) {
  const bool is_proxied = !shard.mqtt_proxies.empty() && socket.tls() == nullptr &&
                          net::any_contains(shard.mqtt_proxies, net::Address::peer_of(socket.descriptor()));
  if (is_proxied) return shard.mqtt_receptions->take(std::move(socket), std::move(to_broker));
  // The handshake has taken the header off.
  if (shard.accepting_for) socket.speak_for(*shard.accepting_for);
  to_broker(std::move(socket));
}

// Each loop accepts from them what the others did not.
Result<void> Node::listen_on_paths() {
  for (const std::string& path : config_.mqtt.unix_listen) {
    Result<net::SocketFile> file = net::SocketFile::listen(path, parse_mode(config_.mqtt.unix_mode).value_or(0600));
    if (!file) return std::unexpected(file.error());
    mqtt_files_.push_back(std::move(*file));
    Result<std::vector<net::Socket>> sockets = net::share_listening(mqtt_files_.back().take_socket(), shards_.size());
    if (!sockets) return std::unexpected(sockets.error());
    for (size_t i = 0; i < shards_.size(); ++i) {
      Shard& shard = shards_[i];
      shard.listeners.push_back(std::make_unique<net::TcpListener>(
          *shard.loop, std::move((*sockets)[i]),
          [&shard](net::Socket client) { shard.broker->accept(std::move(client)); }, descriptors_.for_connections));
    }
  }
  return {};
}

// One listener for who has one loop.
Result<net::Socket> Node::listening_socket(std::string_view name, const std::string& text,
                                           net::HandedOver& handed_over) {
  const Result<net::Address> address = net::Address::resolve(text);
  if (!address) return std::unexpected(address.error());
  if (std::optional<net::Socket> socket = handed_over.claim(name, *address)) return std::move(*socket);
  return net::Socket::listen(*address, /*shared=*/false);
}

Result<void> Node::open_admin_listeners(net::HandedOver& handed_over) {
  admin_ = std::make_unique<AdminApi>(*this, admin_loop_, *overview_, tail_, credentials_.admin_tokens);
  for (const std::string& text : config_.admin.listen) {
    Result<net::Socket> socket = listening_socket("admin", text, handed_over);
    if (!socket) return std::unexpected(socket.error());
    admin_addresses_.push_back(net::Address::local_of(socket->descriptor()).text());
    admin_listeners_.push_back(std::make_unique<net::TcpListener>(
        admin_loop_, std::move(*socket), [this](net::Socket client) { admin_->accept(std::move(client)); },
        descriptors_.for_admin));
  }
  return {};
}

// A socket that was handed over is one for all loops, since another on its address would need SO_REUSEPORT from the
// beginning: each loop accepts from it what the others did not. Own ones are one a loop.
Result<void> Node::listen(std::string_view name, const std::vector<std::string>& addresses,
                          net::HandedOver& handed_over, std::vector<std::string>& bound, const Take& take) {
  for (const std::string& text : addresses) {
    const Result<net::Address> address = net::Address::resolve(text);
    if (!address) return std::unexpected(address.error());
    std::optional<net::Socket> given = handed_over.claim(name, *address);
    Result<std::vector<net::Socket>> sockets = given ? net::share_listening(std::move(*given), shards_.size())
                                                     : net::listen_on_loops(*address, shards_.size());
    if (!sockets) return std::unexpected(sockets.error());
    bound.push_back(net::Address::local_of(sockets->front().descriptor()).text());
    for (size_t i = 0; i < shards_.size(); ++i) {
      Shard& shard = shards_[i];
      shard.listeners.push_back(std::make_unique<net::TcpListener>(
          *shard.loop, std::move((*sockets)[i]), [take, &shard](net::Socket client) { take(shard, std::move(client)); },
          descriptors_.for_connections));
    }
  }
  return {};
}

// One listener an address, on the loop of handshakes; connections that speak TLS go to the event loops in turn.
Result<void> Node::listen_with_tls(std::string_view name, const std::vector<std::string>& addresses,
                                   net::HandedOver& handed_over, std::vector<std::string>& bound, const Take& take) {
  if (!addresses.empty() && !tls_loop_) tls_loop_ = std::make_unique<runtime::Loop>("tls");
  const bool is_mqtt = name == "mqtt";
  const net::TlsListenerLimits limits{.descriptors_max = descriptors_.for_connections};
  const std::shared_ptr<const net::TlsContext>& context = is_mqtt ? credentials_.mqtt : credentials_.http;
  for (const std::string& text : addresses) {
    VERGE_ASSERT(context != nullptr);  // load_credentials() saw to it
    Result<net::Socket> socket = listening_socket(name, text, handed_over);
    if (!socket) return std::unexpected(socket.error());
    bound.push_back(net::Address::local_of(socket->descriptor()).text());
    const auto hand_on = [this, take, next = size_t{0}](net::Socket client,
                                                        const std::optional<net::Address>& of_proxy) mutable {
      Shard& shard = shards_[next++ % shards_.size()];
      auto moving = std::make_shared<net::Socket>(std::move(client));
      shard.loop->post([take, moving, of_proxy, &shard] {
        shard.accepting_for = of_proxy;
        take(shard, std::move(*moving));
        shard.accepting_for.reset();
      });
    };
    tls_listeners_.push_back({std::make_unique<net::TlsListener>(*tls_loop_, std::string(name), std::move(*socket),
                                                                 context, limits, hand_on),
                              is_mqtt});
  }
  return {};
}

std::unique_ptr<net::Stream> Node::make_http_stream(size_t shard, runtime::Loop& loop, net::Socket socket,
                                                    net::StreamObserver& observer) const {
  const cache::SiteSet& set = *sites_->proxy(shard).serving().set;
  if (set.proxy_protocol && socket.tls() == nullptr &&
      net::any_contains(set.trusted_proxies, net::Address::peer_of(socket.descriptor()))) {
    return std::make_unique<net::ProxiedStream>(loop, std::move(socket), observer);
  }
  if (const std::optional<net::Address>& client = shards_[shard].accepting_for) {
    return std::make_unique<net::ProxiedStream>(loop, std::move(socket), observer, *client);
  }
  return std::make_unique<net::TcpStream>(loop, std::move(socket), observer);
}

void Node::expect_proxies(const HttpConfig& http, const MqttConfig& mqtt) {
  for (const Tls& each : tls_listeners_) {
    const auto& [proxies, is_on] = each.is_mqtt ? std::tie(mqtt.trusted_proxies, mqtt.proxy_protocol)
                                                : std::tie(http.trusted_proxies, http.proxy_protocol);
    each.listener->expect_proxies(is_on ? proxies : std::vector<net::Network>());
  }
}

}  // namespace verge::node
