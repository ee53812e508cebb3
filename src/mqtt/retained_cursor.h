// RetainedCursor: a subscription whose retained messages are being sent, a page at a time, as the client takes them.
//
// Meanwhile it is sent what is published, too. Of a topic whose news it was given, what was retained before would be
// old news that looks new, and what was retained by the same publish a repetition, at whichever QoS. So they are left
// out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/hash.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"

namespace verge::mqtt {

// The topics of which a client was given news. Bound: kBytesMax for the topics and what keeps them; of further ones
// what is retained is sent, too.
class OvertakenTopics {
 public:
  static constexpr size_t kBytesMax = 64U << 10;

  // The client is sent the message as it is published. `qos`: at which it is sent.
  void note(const Message& message, uint8_t qos);
  // The message is not sent after all.
  void withdraw(const Message& message);
  // Its connection ended: what it was sent at QoS 0 it may not have.
  void forget_unacknowledged();
  // Whether the client was given this message, or a later one of its topic.
  [[nodiscard]] bool covers(const Message& retained) const;

 private:
  struct News {
    MonotonicTime received;
    uint8_t qos = 0;
  };
  static size_t bytes_of(const std::string& topic) { return topic.size() + 64; }

  std::unordered_map<std::string, News, StringHash, std::equal_to<>> news_;
  size_t bytes_ = 0;
};

struct RetainedCursor {
  uint64_t number = 0;  // of the SUBSCRIBE: nothing goes out before its SUBACK
  SubscriptionOptions options;
  uint32_t identifier = 0;  // 0: none
  size_t shard = 0;         // whose messages are being sent
  std::string through;      // of those, up to this topic are sent
  OvertakenTopics overtaken;
};

}  // namespace verge::mqtt
