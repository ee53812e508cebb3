// Device: one MQTT 5 connection of the demonstration that comes back when it breaks.
#pragma once

#include <memory>
#include <string>

#include "mqtt/client.h"
#include "runtime/loop.h"

namespace verge::cli {

class Device : protected mqtt::ClientObserver {
 public:
  // `subscription`: a topic to subscribe to, or empty.
  Device(runtime::Loop& loop, const net::Address& broker, std::string client_id, std::string subscription);
  ~Device() override = default;

  void connect();
  // Publishes at QoS 0 if connected.
  void publish(std::string_view topic, std::string_view payload);

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  [[nodiscard]] uint64_t messages() const { return messages_; }
  // Over all connections.
  [[nodiscard]] uint64_t sent_bytes() const { return bytes_before_ + (client_ ? client_->stream().sent_bytes() : 0); }

 protected:
  // The connection stands, the subscription is asked for.
  virtual void on_up() {}
  virtual void on_down() {}
  uint16_t publish_once(const mqtt::Publish& publish);

 private:
  void on_connected(const mqtt::Connack& connack) override;
  void on_disconnected(std::string_view reason) override;

  runtime::Loop& loop_;
  const net::Address broker_;
  const std::string client_id_;
  const std::string subscription_;
  runtime::Timer reconnect_;
  std::unique_ptr<mqtt::Client> client_;
  bool connected_ = false;
  uint64_t messages_ = 0;
  uint64_t bytes_before_ = 0;
};

}  // namespace verge::cli
