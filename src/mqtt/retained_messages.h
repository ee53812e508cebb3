// RetainedMessages: the last retained message of each topic (MQTT 5.0 section 3.3.1.3), found by filter. Topics are
// spread over the loops by hash; each loop holds its own part.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "mqtt/message.h"

namespace verge::mqtt {

class RetainedMessages {
 public:
  RetainedMessages(size_t messages_max, size_t bytes_max) : messages_max_(messages_max), bytes_max_(bytes_max) {}

  // An empty payload clears the topic. False when a bound is reached and the message was not kept; what the topic had
  // before then stays.
  bool set(MessagePointer message);
  // Appends those that match the filter and have not expired.
  void match(std::string_view filter, MonotonicTime now, std::vector<MessagePointer>& found) const;
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, StringHash, std::equal_to<>> children;
    MessagePointer message;
  };

  // True when `node` is empty afterwards.
  bool clear(Node& node, std::string_view rest, bool more);
  static void collect_all(const Node& node, MonotonicTime now, std::vector<MessagePointer>& found);
  static void match_level(const Node& node, std::string_view rest, bool first, MonotonicTime now,
                          std::vector<MessagePointer>& found);

  const size_t messages_max_;
  const size_t bytes_max_;
  Node root_;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace verge::mqtt
