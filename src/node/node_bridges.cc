// The bridges of a node: made of its configuration, each on the loop that its session belongs to.
#include <algorithm>

#include <fmt/format.h>

#include "mqtt/bridge.h"
#include "node/node.h"

namespace verge::node {
namespace {

mqtt::BridgeTopic topic_of(const BridgeTopicConfig& config) {
  return {.filter = config.topic,
          .out = config.direction != BridgeDirection::kIn,
          .in = config.direction != BridgeDirection::kOut,
          .qos = static_cast<uint8_t>(config.qos),
          .local_prefix = config.local_prefix,
          .remote_prefix = config.remote_prefix};
}

}  // namespace

bool Node::is_bridge_session(std::string_view client_id) const {
  return client_id.starts_with(mqtt::kBridgeClients) &&
         std::ranges::any_of(config_.mqtt.bridges, [&](const BridgeConfig& bridge) {
           return mqtt::Bridge::local_client_id(bridge.name) == client_id;
         });
}

void Node::make_bridges() {
  for (size_t i = 0; i < config_.mqtt.bridges.size(); ++i) {
    const BridgeConfig& config = config_.mqtt.bridges[i];
    mqtt::BridgeOptions options{
        .name = config.name,
        .address = config.address,
        .host = config.host(),
        .tls = credentials_.bridges[i].tls,
        .version = config.version == BridgeVersion::k5 ? mqtt::Version::k5 : mqtt::Version::k311,
        .client_id =
            config.client_id.empty() ? fmt::format("verge-{}-{}", config_.node.name, config.name) : config.client_id,
        .user = config.user,
        .password = credentials_.bridges[i].password,
        .keep_alive = config.keep_alive,
        .retry_max = config.retry_max,
        .node = id_.text(),
        .topics = {}};
    for (const BridgeTopicConfig& topic : config.topics) options.topics.push_back(topic_of(topic));
    const size_t shard = mqtt::Broker::shard_of(mqtt::Bridge::local_client_id(config.name), shards_.size());
    bridges_.push_back(std::make_unique<mqtt::Bridge>(*shards_[shard].broker, std::move(options)));
    shards_[shard].loop->post([bridge = bridges_.back().get()] { bridge->start(); });
  }
}

void Node::stop_bridges() {
  on_all_loops([this](Shard& shard) {
    for (const auto& bridge : bridges_) {
      if (&bridge->home() == shard.broker.get()) bridge->stop();
    }
  });
}

}  // namespace verge::node
