// What the broker needs from the rest of a node, in the broker's words: somebody who takes each publish and says when
// it may be acknowledged.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/payload.h"

namespace verge::mqtt {

// Names one publish that awaits its acknowledgement.
struct AckTicket {
  size_t shard = 0;
  uint64_t connection = 0;
  uint64_t number = 0;  // 0: nobody waits (QoS 0, wills)
};

struct Incoming {
  std::string_view client_id;
  std::string_view topic;
  const Payload& payload;
  uint8_t qos = 0;
  // Whether the client can be told that its message was not stored: 3.1.1 has no such answer.
  bool refusable = false;
  MonotonicTime received;
  // The user property "verge-sequence": the client numbers what it sends, so that a repetition is recognised.
  std::optional<uint64_t> sequence;
  // The user property "traceparent" (W3C Trace Context for MQTT): the trace that its sender is in; empty: it names
  // none.
  std::string_view traceparent;
};

enum class Verdict {
  kAccepted,  // acknowledge now
  kPending,   // Broker::acknowledge() will be called with the ticket
};

class Intake {
 public:
  virtual ~Intake() = default;
  // Called on the loop of the client's session, before the message goes to subscribers.
  virtual Verdict take(const Incoming& incoming, const AckTicket& ticket) = 0;
};

}  // namespace verge::mqtt
