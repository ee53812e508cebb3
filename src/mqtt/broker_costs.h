// What things take of memory, as the broker counts them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "mqtt/message.h"

namespace verge::mqtt {

// What the containers and the allocator take, rounded up: a session with its empty queues, a subscription, and a level
// of its filter in the tree of a loop.
inline constexpr size_t kSessionBytes = 2048;
inline constexpr size_t kSubscriptionBytes = 256;
inline constexpr size_t kLevelBytes = 256;

// A message on its way, with the task that carries it.
inline size_t forwarded_bytes(const Message& message) {
  constexpr size_t kTaskBytes = 128;
  return sizeof(Message) + kTaskBytes + message.topic.size() + message.payload.size() + message.properties.size();
}

inline size_t session_bytes(std::string_view client_id) { return kSessionBytes + 2 * client_id.size(); }
inline size_t subscription_bytes(std::string_view filter) {
  const auto levels = static_cast<size_t>(std::ranges::count(filter, '/')) + 1;
  return kSubscriptionBytes + 3 * filter.size() + levels * kLevelBytes;
}

}  // namespace verge::mqtt
