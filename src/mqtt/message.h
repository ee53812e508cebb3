// Message: one application message on its way through the broker. Immutable, shared by the queues of many sessions on
// several loops (that is why it is counted).
#pragma once

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
  MonotonicTime expires = MonotonicTime::max();
  uint64_t publisher = 0;    // the session it came from, 0 for none; for "no local"
  bool is_decision = false;  // made by a rule here: its latency counts as a decision's
};

using MessagePointer = std::shared_ptr<const Message>;

}  // namespace verge::mqtt
