// Message: one application message on its way through the broker. Immutable, shared by the queues of many sessions on
// several loops (that is why it is counted).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/payload.h"

namespace verge::mqtt {

struct Message {
  std::string topic;
  Payload payload;
  uint8_t qos = 0;
  bool retain = false;
  // Encoded MQTT 5 properties that travel with the message: format, content type, response topic, correlation, user.
  std::string properties;
  MonotonicTime received{};
  // Of those that are to be retained: a later one has a higher. 0: from before the node began.
  uint64_t order = 0;
  MonotonicTime expires = MonotonicTime::max();
  uint64_t publisher = 0;    // the session it came from, 0 for none; for "no local"
  bool is_decision = false;  // made by a rule here: its latency counts as a decision's
};

// The order of a message that is to be retained. From any thread.
inline uint64_t next_order() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

using MessagePointer = std::shared_ptr<const Message>;

}  // namespace verge::mqtt
