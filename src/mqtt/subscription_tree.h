// SubscriptionTree: which subscriptions match a topic. One replica a loop: it holds the loop's own subscribers in full
// and of the other loops only that somebody there has subscribed, so that a publish is matched once here and posted
// once to each loop that has takers.
//
// A tree by topic level, '+' and '#' being levels of their own (MQTT 5.0 section 4.7). Matching visits at most three
// branches a level; its cost does not depend on the number of subscriptions that do not match.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "mqtt/packet.h"

namespace verge::mqtt {

class Session;

struct Subscription {
  Session* session = nullptr;
  SubscriptionOptions options;
  uint32_t identifier = 0;  // 0: none
};

class SubscriptionTree {
 public:
  static constexpr size_t kShardsMax = 64;

  struct Matches {
    std::vector<const Subscription*> local;  // good until the tree changes; a session may appear several times
    uint64_t remote_shards = 0;              // bit i: shard i has takers
    void clear() {
      local.clear();
      remote_shards = 0;
    }
  };

  // True when the session had no subscription to this filter; otherwise it is replaced.
  bool add(std::string_view filter, const Subscription& subscription);
  // True when there was one.
  bool remove(std::string_view filter, const Session* session);

  // Counts how often each other shard added the filter.
  void add_remote(std::string_view filter, size_t shard);
  void remove_remote(std::string_view filter, size_t shard);

  void match(std::string_view topic, Matches& matches) const;
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Remote {
    size_t shard;
    uint32_t count;
  };
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, StringHash, std::equal_to<>> children;
    std::vector<Subscription> local;
    std::vector<Remote> remote;
    [[nodiscard]] bool empty() const { return children.empty() && local.empty() && remote.empty(); }
  };

  Node& reach(std::string_view filter);
  // Applies `change` to the filter's node, if it exists, and removes the nodes that this leaves empty.
  template <class Change>
  static void prune(Node& node, std::string_view filter, bool more, Change&& change);
  static void collect(const Node& node, Matches& matches);
  static void match_level(const Node& node, std::string_view rest, bool first, Matches& matches);

  Node root_;
  size_t size_ = 0;
};

}  // namespace verge::mqtt
