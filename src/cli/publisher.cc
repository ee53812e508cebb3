#include "cli/publisher.h"

namespace verge::cli {
namespace {

// Unsent output above this waits as messages, which are smaller.
constexpr size_t kUnsentBytesMax = 1U << 20;

}  // namespace

Publisher::Publisher(mqtt::Client& client, std::string topic, size_t window, Compose compose)
    : client_(client), topic_(std::move(topic)), window_(window), compose_(std::move(compose)) {}

bool Publisher::may_send() const {
  return inflight_.size() < window_ && client_.stream().queued_bytes() < kUnsentBytesMax;
}

void Publisher::publish(const Message& message) {
  if (waiting_.empty() && may_send()) return send(message);
  waiting_.push_back(message);
  send_waiting();
}

void Publisher::send(const Message& message) {
  const uint16_t packet_id = client_.publish({.qos = message.qos, .topic = topic_, .payload = compose_(message)});
  ++sent_;
  if (message.qos == 0) return;
  inflight_.push_back({packet_id, message});
  ++unacknowledged_;
}

void Publisher::send_waiting() {
  while (!waiting_.empty() && may_send()) {
    send(waiting_.front());
    waiting_.pop_front();
  }
}

std::optional<Publisher::Message> Publisher::acknowledge(uint16_t packet_id) {
  // Nearly always the first.
  for (Inflight& inflight : inflight_) {
    if (inflight.packet_id != packet_id) continue;
    const Message message = inflight.message;
    inflight.packet_id = 0;
    --unacknowledged_;
    while (!inflight_.empty() && inflight_.front().packet_id == 0) inflight_.pop_front();
    send_waiting();
    return message;
  }
  return std::nullopt;
}

}  // namespace verge::cli
