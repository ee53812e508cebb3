// RetainedCursor: a subscription whose retained messages are being sent, a page at a time, as the client takes them.
//
// Meanwhile it is sent what is published, too. Where that is retained, and the client was given it, it is not sent once
// more as retained, at whichever QoS; nor is what the topic had before, which would be old news that looks new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/hash.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"

namespace verge::mqtt {

struct RetainedCursor {
  uint64_t number = 0;  // of the SUBSCRIBE: nothing goes out before its SUBACK
  SubscriptionOptions options;
  uint32_t identifier = 0;  // 0: none
  size_t shard = 0;         // whose messages are being sent
  std::string through;      // of those, up to this topic are sent
};

// Of which topics a session was given what is retained of them, as it was published. Bound: kBytesMax, about, for the
// topics and what keeps them; of further ones what is retained is sent, too.
class RetainedNews {
 public:
  static constexpr size_t kBytesMax = 64U << 10;

  // The session is given the message, at that QoS. `number`: as those of SUBSCRIBEs, which rise.
  void note(const Message& message, uint8_t qos, uint64_t number);
  // It lacks the message, or may: the news of that topic are void.
  void forget(const Message& message);
  // Its connection ended: what it was sent at QoS 0 it may not have.
  void forget_unacknowledged();
  void forget_all();
  // Whether it was given this message, or a later one of its topic, after the SUBSCRIBE.
  [[nodiscard]] bool covers(const Message& retained, const RetainedCursor& cursor) const;

 private:
  struct News {
    uint64_t order = 0;
    uint64_t number = 0;
    uint8_t qos = 0;
  };
  static size_t bytes_of(const std::string& topic) { return topic.size() + sizeof(News) + 96; }

  std::unordered_map<std::string, News, StringHash, std::equal_to<>> by_topic_;
  size_t bytes_ = 0;
};

}  // namespace verge::mqtt
