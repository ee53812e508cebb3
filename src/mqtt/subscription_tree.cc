#include "mqtt/subscription_tree.h"

#include <algorithm>

#include "model/topic.h"

namespace verge::mqtt {

SubscriptionTree::Node& SubscriptionTree::reach(std::string_view filter) {
  Node* node = &root_;
  bool more = true;
  while (more) {
    const std::string_view level = next_level(filter, more);
    auto child = node->children.find(level);
    if (child == node->children.end()) {
      child = node->children.emplace(std::string(level), std::make_unique<Node>()).first;
    }
    node = child->second.get();
  }
  return *node;
}

template <class Change>
void SubscriptionTree::prune(Node& node, std::string_view filter, bool more, Change&& change) {
  if (!more) return change(node);
  const std::string_view level = next_level(filter, more);
  const auto child = node.children.find(level);
  if (child == node.children.end()) return;
  prune(*child->second, filter, more, change);
  if (child->second->empty()) node.children.erase(child);
}

bool SubscriptionTree::add(std::string_view filter, const Subscription& subscription) {
  Node& node = reach(filter);
  const auto existing = std::ranges::find(node.local, subscription.session, &Subscription::session);
  if (existing != node.local.end()) {
    *existing = subscription;
    return false;
  }
  node.local.push_back(subscription);
  ++size_;
  return true;
}

bool SubscriptionTree::remove(std::string_view filter, const Session* session) {
  bool removed = false;
  prune(root_, filter, true, [&](Node& node) {
    removed = std::erase_if(node.local, [&](const Subscription& held) { return held.session == session; }) > 0;
  });
  if (removed) --size_;
  return removed;
}

void SubscriptionTree::add_remote(std::string_view filter, size_t shard) {
  Node& node = reach(filter);
  const auto existing = std::ranges::find(node.remote, shard, &Remote::shard);
  if (existing == node.remote.end()) {
    node.remote.push_back({shard, 1});
  } else {
    ++existing->count;
  }
}

void SubscriptionTree::remove_remote(std::string_view filter, size_t shard) {
  prune(root_, filter, true, [&](Node& node) {
    const auto existing = std::ranges::find(node.remote, shard, &Remote::shard);
    if (existing != node.remote.end() && --existing->count == 0) node.remote.erase(existing);
  });
}

void SubscriptionTree::match(std::string_view topic, Matches& matches) const {
  match_level(root_, topic, true, matches);
}

void SubscriptionTree::collect(const Node& node, Matches& matches) {
  for (const Subscription& subscription : node.local) matches.local.push_back(&subscription);
  for (const Remote& remote : node.remote) matches.remote_shards |= 1ULL << remote.shard;
}

void SubscriptionTree::match_level(const Node& node, std::string_view rest, bool first, Matches& matches) {
  if (node.children.empty()) return;
  // Wildcards do not match a first level that begins with '$' [MQTT-4.7.2-1].
  const bool wild = !(first && rest.starts_with('$'));
  bool more = false;
  const std::string_view level = next_level(rest, more);
  const auto descend = [&](std::string_view name) {
    const auto child = node.children.find(name);
    if (child == node.children.end()) return;
    if (more) return match_level(*child->second, rest, false, matches);
    collect(*child->second, matches);
    // "a/#" also matches "a".
    if (const auto all = child->second->children.find(std::string_view("#")); all != child->second->children.end()) {
      collect(*all->second, matches);
    }
  };
  descend(level);
  if (!wild) return;
  descend("+");
  if (const auto all = node.children.find(std::string_view("#")); all != node.children.end()) {
    collect(*all->second, matches);
  }
}

}  // namespace verge::mqtt
