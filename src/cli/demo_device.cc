#include "cli/demo_device.h"

namespace verge::cli {
namespace {

constexpr Duration kReconnect = std::chrono::milliseconds(50);
constexpr uint16_t kKeepAliveSeconds = 60;

}  // namespace

Device::Device(runtime::Loop& loop, const net::Address& broker, std::string client_id, std::string subscription)
    : loop_(loop),
      broker_(broker),
      client_id_(std::move(client_id)),
      subscription_(std::move(subscription)),
      reconnect_(loop) {}

void Device::connect() {
  Result<std::unique_ptr<mqtt::Client>> client =
      mqtt::Client::open(loop_, broker_, {.keep_alive_s = kKeepAliveSeconds, .client_id = client_id_}, *this);
  if (!client) {
    reconnect_.after(kReconnect, [this] { connect(); });
    return;
  }
  client_ = std::move(*client);
}

void Device::on_connected(const mqtt::Connack&) {
  connected_ = true;
  if (!subscription_.empty()) client_->subscribe(subscription_, 0);
  on_up();
}

void Device::on_disconnected(std::string_view) {
  connected_ = false;
  bytes_before_ += client_->stream().sent_bytes();
  client_.reset();
  on_down();
  reconnect_.after(kReconnect, [this] { connect(); });
}

void Device::publish(std::string_view topic, std::string_view payload) {
  if (connected_) publish_once({.topic = topic, .payload = payload});
}

uint16_t Device::publish_once(const mqtt::Publish& publish) {
  ++messages_;
  return client_->publish(publish);
}

}  // namespace verge::cli
