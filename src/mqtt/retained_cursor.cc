#include "mqtt/retained_cursor.h"

namespace verge::mqtt {

void RetainedNews::note(const Message& message, uint8_t qos, uint64_t number) {
  const News news{.order = message.order, .number = number, .qos = qos};
  if (const auto known = by_topic_.find(message.topic); known != by_topic_.end()) {
    known->second = news;
  } else if (bytes_ + bytes_of(message.topic) <= kBytesMax) {
    bytes_ += bytes_of(message.topic);
    by_topic_.emplace(message.topic, news);
  }
}

void RetainedNews::forget(const Message& message) {
  const auto known = by_topic_.find(message.topic);
  if (known == by_topic_.end()) return;
  bytes_ -= bytes_of(message.topic);
  by_topic_.erase(known);
}

void RetainedNews::forget_unacknowledged() {
  std::erase_if(by_topic_, [&](const auto& each) {
    if (each.second.qos > 0) return false;
    bytes_ -= bytes_of(each.first);
    return true;
  });
}

void RetainedNews::forget_all() {
  by_topic_ = {};
  bytes_ = 0;
}

bool RetainedNews::covers(const Message& retained, const RetainedCursor& cursor) const {
  const auto known = by_topic_.find(retained.topic);
  return known != by_topic_.end() && known->second.number > cursor.number && retained.order <= known->second.order;
}

}  // namespace verge::mqtt
