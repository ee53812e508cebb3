// SubscriptionTree: which subscriptions match a topic. One replica a loop: it holds the loop's own subscribers in full
// and of the other loops only that somebody there has subscribed, so that a publish is matched once here and posted
// once to each loop that has takers.
//
// A tree by topic level, '+' and '#' being levels of their own (MQTT 5.0 section 4.7). Matching visits at most three
// branches a level; its cost does not depend on the number of subscriptions that do not match.
//
// A shared subscription, "$share/NAME/FILTER" (MQTT 5.0 section 4.8.2), stands at the node of its filter as a group,
// whose members may be on all loops: each message goes to one of them, which the loop of the publisher chooses.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
  bool is_durable = false;  // as its session
};

struct SharedFilter {
  std::string_view name;
  std::string_view filter;
};
inline bool is_shared_filter(std::string_view filter) { return filter.starts_with("$share/"); }
// The parts of a filter for which is_shared_filter(); nothing where one is missing or not allowed [MQTT-4.8.2-1]
// [MQTT-4.8.2-2].
std::optional<SharedFilter> split_shared_filter(std::string_view filter);

class SubscriptionTree {
 public:
  static constexpr size_t kShardsMax = 64;

  struct Remote {
    size_t shard;
    uint32_t count;
    uint32_t durable;  // of these
  };
  struct Members {
    std::vector<Subscription> local;
    std::vector<Remote> remote;
    [[nodiscard]] bool empty() const { return local.empty() && remote.empty(); }
  };
  struct Group {
    std::string filter;  // the whole of it
    Members members;
    mutable uint64_t turn = 0;        // of who chooses among all members, for what is published here
    mutable uint64_t local_turn = 0;  // of who chooses among the local ones
  };

  struct Matches {
    std::vector<const Subscription*> local;  // good until the tree changes; a session may appear several times
    std::vector<const Group*> groups;        // likewise
    uint64_t remote_shards = 0;              // bit i: shard i has takers, not only in groups
    uint64_t durable_shards = 0;             // of these, those with durable ones
    bool is_durable = false;                 // somebody is, in a group or not, here or there
    void clear() {
      local.clear();
      groups.clear();
      remote_shards = 0;
      durable_shards = 0;
      is_durable = false;
    }
    [[nodiscard]] bool empty() const { return local.empty() && groups.empty() && remote_shards == 0; }
  };

  // Of the filters here, those that are shared can be split. True when the session had no subscription to this one;
  // otherwise it is replaced.
  bool add(std::string_view filter, const Subscription& subscription);
  // True when there was one.
  bool remove(std::string_view filter, const Session* session);

  // Counts how often each other shard added the filter.
  void add_remote(std::string_view filter, size_t shard, bool is_durable = false);
  void remove_remote(std::string_view filter, size_t shard, bool is_durable = false);

  void match(std::string_view topic, Matches& matches) const;
  // The group of a shared filter; null where nobody is in it.
  [[nodiscard]] const Group* find_group(std::string_view shared_filter) const;
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, StringHash, std::equal_to<>> children;
    Members members;
    std::vector<std::unique_ptr<Group>> groups;
    [[nodiscard]] bool empty() const { return children.empty() && members.empty() && groups.empty(); }
  };

  Node& reach(std::string_view filter);
  // Who has the filter, shared or not; made if they are not there.
  Members& reach_members(std::string_view filter);
  // Applies `change` to the filter's node, if it exists, and removes the nodes that this leaves empty.
  template <class Change>
  static void prune(Node& node, std::string_view filter, bool more, Change&& change);
  // The same for those who have the filter.
  template <class Change>
  void prune_members(std::string_view filter, Change&& change);
  static void collect(const Node& node, Matches& matches);
  static void collect_group(const Group& group, Matches& matches);
  static void match_level(const Node& node, std::string_view rest, bool first, Matches& matches);

  Node root_;
  size_t size_ = 0;
};

}  // namespace verge::mqtt
