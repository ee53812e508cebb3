#include "mqtt/retained_cursor.h"

namespace verge::mqtt {

void OvertakenTopics::note(const Message& message, uint8_t qos) {
  if (const auto known = news_.find(message.topic); known != news_.end()) {
    known->second = {.received = message.received, .qos = qos};
  } else if (bytes_ + bytes_of(message.topic) <= kBytesMax) {
    bytes_ += bytes_of(message.topic);
    news_.emplace(message.topic, News{.received = message.received, .qos = qos});
  }
}

void OvertakenTopics::withdraw(const Message& message) {
  const auto known = news_.find(message.topic);
  if (known == news_.end() || known->second.received > message.received) return;
  bytes_ -= bytes_of(message.topic);
  news_.erase(known);
}

void OvertakenTopics::forget_unacknowledged() {
  std::erase_if(news_, [&](const auto& each) {
    if (each.second.qos > 0) return false;
    bytes_ -= bytes_of(each.first);
    return true;
  });
}

bool OvertakenTopics::covers(const Message& retained) const {
  const auto known = news_.find(retained.topic);
  return known != news_.end() && retained.received <= known->second.received;
}

}  // namespace verge::mqtt
