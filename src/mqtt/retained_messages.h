// RetainedMessages: the last retained message of each topic (MQTT 5.0 section 3.3.1.3), found by filter. Topics are
// spread over the loops by hash; each loop holds its own part.
//
// A filter may match a million messages, and a client takes them at its own pace. So they are found by the page: the
// tree is ordered, and a page says after which topic the next begins. A list of all matches, one for each filter of a
// SUBSCRIBE, was the alternative: it has no bound. What is retained or cleared between two pages is seen if it lies
// ahead.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mqtt/message.h"

namespace verge::mqtt {

class RetainedMessages {
 public:
  // `bytes_max`: of topics, properties, payloads and what it takes to keep them.
  RetainedMessages(size_t messages_max, size_t bytes_max) : messages_max_(messages_max), bytes_max_(bytes_max) {}

  // Whether the topic has a message of a higher order.
  [[nodiscard]] bool has_later_than(const Message& message) const;
  // An empty payload clears the topic. False when a bound is reached and the message was not kept; what the topic had
  // before then stays.
  bool set(MessagePointer message);

  // A page ends with the message that reaches one of these.
  struct PageLimits {
    size_t messages_max = 256;
    size_t bytes_max = 256U << 10;  // of topics, properties and payloads
    size_t visits_max = 2048;       // levels looked at, whether they match or not
  };
  struct Page {
    std::vector<MessagePointer> messages;  // in the order of their topics, level by level
    std::string through;                   // the next page goes on after this topic
    bool complete = true;                  // nothing is left
  };
  // Of the messages that match the filter and have not expired, those after the topic `after`; empty: from the
  // beginning.
  [[nodiscard]] Page page(std::string_view filter, std::string_view after, const PageLimits& limits,
                          MonotonicTime now) const;

  // Clears those that have expired among the next levels, as many as `limits` says, behind where it ended the last
  // time; after the last topic it begins again.
  void clear_expired(const PageLimits& limits, MonotonicTime now);

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  // Most are the last levels of their topics: a map is there only where there is something below.
  struct Node;
  using Children = std::map<std::string, Node, std::less<>>;
  struct Node {
    std::unique_ptr<Children> children;  // never an empty one
    MessagePointer message;

    // Null where there is none of that name.
    [[nodiscard]] Node* child(std::string_view level) const;
  };
  // Where the last page ended, as seen from a node: beyond it, or on the way to it with the levels that are left.
  struct Resume {
    bool on_way = false;
    std::span<const std::string_view> levels;
  };
  struct Search;

  Page search(std::string_view filter, std::string_view after, Search& search) const;
  // True when `node` is empty afterwards.
  bool clear(Node& node, std::string_view rest, bool more);
  // False when the page is full.
  static bool visit(const Node& node, std::string_view rest, bool more, const Resume& resume, Search& search);
  static bool descend(const Node& node, std::string_view rest, bool first, const Resume& resume, Search& search);

  const size_t messages_max_;
  const size_t bytes_max_;
  Node root_;
  size_t size_ = 0;
  size_t bytes_ = 0;
  std::string cleared_through_;
};

}  // namespace verge::mqtt
