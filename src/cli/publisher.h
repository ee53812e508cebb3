// Publisher: sends messages whose times were fixed beforehand over one connection. What the connection cannot take,
// because too much is unacknowledged or unsent, waits here and keeps the time at which it was due.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "mqtt/client.h"

namespace verge::cli {

class Publisher {
 public:
  struct Message {
    uint64_t number = 0;  // counted over all publishers
    MonotonicTime due{};
    uint8_t qos = 0;
  };
  // Gives the payload of a message; good until the next call.
  using Compose = std::function<std::string_view(const Message&)>;

  // `window`: how many messages may be unacknowledged at once.
  Publisher(mqtt::Client& client, std::string topic, size_t window, Compose compose);

  void publish(const Message& message);
  // The message that the acknowledgement is for, unless it is for none.
  std::optional<Message> acknowledge(uint16_t packet_id);
  // To be called now and then, as what was unsent may have been sent by now.
  void resume() { send_waiting(); }

  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] bool idle() const { return waiting_.empty() && unacknowledged_ == 0; }

 private:
  struct Inflight {
    uint16_t packet_id = 0;  // 0: acknowledged, out of order
    Message message;
  };
  [[nodiscard]] bool may_send() const;
  void send(const Message& message);
  void send_waiting();

  mqtt::Client& client_;
  const std::string topic_;
  const size_t window_;
  const Compose compose_;
  std::deque<Message> waiting_;
  std::deque<Inflight> inflight_;
  size_t unacknowledged_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace verge::cli
