#include "mqtt/subscription_tree.h"

#include <algorithm>

#include "base/assert.h"
#include "model/topic.h"

namespace verge::mqtt {

std::optional<SharedFilter> split_shared_filter(std::string_view filter) {
  if (!is_shared_filter(filter)) return std::nullopt;
  bool more = false;
  std::string_view rest = filter;
  next_level(rest, more);
  const std::string_view name = next_level(rest, more);
  if (name.empty() || name.find_first_of("+#") != std::string_view::npos || !more || !is_topic_filter(rest)) {
    return std::nullopt;
  }
  return SharedFilter{.name = name, .filter = rest};
}

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

SubscriptionTree::Members& SubscriptionTree::reach_members(std::string_view filter) {
  if (!is_shared_filter(filter)) return reach(filter).members;
  const std::optional<SharedFilter> shared = split_shared_filter(filter);
  VERGE_ASSERT(shared.has_value());
  std::vector<std::unique_ptr<Group>>& groups = reach(shared->filter).groups;
  auto group = std::ranges::find(groups, filter, [](const auto& each) -> std::string_view { return each->filter; });
  if (group == groups.end()) {
    group = groups.insert(groups.end(), std::make_unique<Group>());
    (*group)->filter = filter;
  }
  return (*group)->members;
}

template <class Change>
void SubscriptionTree::prune_members(std::string_view filter, Change&& change) {
  if (!is_shared_filter(filter)) {
    return prune(root_, filter, true, [&](Node& node) { change(node.members); });
  }
  const std::optional<SharedFilter> shared = split_shared_filter(filter);
  if (!shared) return;
  prune(root_, shared->filter, true, [&](Node& node) {
    for (const auto& group : node.groups) {
      if (group->filter == filter) change(group->members);
    }
    std::erase_if(node.groups, [](const auto& group) { return group->members.empty(); });
  });
}

bool SubscriptionTree::add(std::string_view filter, const Subscription& subscription) {
  Members& members = reach_members(filter);
  const auto existing = std::ranges::find(members.local, subscription.session, &Subscription::session);
  if (existing != members.local.end()) {
    *existing = subscription;
    return false;
  }
  members.local.push_back(subscription);
  ++size_;
  return true;
}

bool SubscriptionTree::remove(std::string_view filter, const Session* session) {
  bool removed = false;
  prune_members(filter, [&](Members& members) {
    removed = std::erase_if(members.local, [&](const Subscription& held) { return held.session == session; }) > 0;
  });
  if (removed) --size_;
  return removed;
}

void SubscriptionTree::add_remote(std::string_view filter, size_t shard, bool is_durable) {
  Members& members = reach_members(filter);
  const auto existing = std::ranges::find(members.remote, shard, &Remote::shard);
  if (existing == members.remote.end()) {
    members.remote.push_back({shard, 1, is_durable ? 1U : 0U});
  } else {
    ++existing->count;
    if (is_durable) ++existing->durable;
  }
}

void SubscriptionTree::remove_remote(std::string_view filter, size_t shard, bool is_durable) {
  prune_members(filter, [&](Members& members) {
    const auto existing = std::ranges::find(members.remote, shard, &Remote::shard);
    if (existing == members.remote.end()) return;
    if (is_durable) --existing->durable;
    if (--existing->count == 0) members.remote.erase(existing);
  });
}

const SubscriptionTree::Group* SubscriptionTree::find_group(std::string_view shared_filter) const {
  const std::optional<SharedFilter> shared = split_shared_filter(shared_filter);
  if (!shared) return nullptr;
  const Node* node = &root_;
  std::string_view rest = shared->filter;
  for (bool more = true; more;) {
    const auto child = node->children.find(next_level(rest, more));
    if (child == node->children.end()) return nullptr;
    node = child->second.get();
  }
  for (const auto& group : node->groups) {
    if (group->filter == shared_filter) return group.get();
  }
  return nullptr;
}

void SubscriptionTree::match(std::string_view topic, Matches& matches) const {
  match_level(root_, topic, true, matches);
}

void SubscriptionTree::collect_group(const Group& group, Matches& matches) {
  matches.groups.push_back(&group);
  const auto& [local, remote] = group.members;
  matches.is_durable |= std::ranges::any_of(local, &Subscription::is_durable) ||
                        std::ranges::any_of(remote, [](const Remote& each) { return each.durable > 0; });
}

void SubscriptionTree::collect(const Node& node, Matches& matches) {
  for (const Subscription& subscription : node.members.local) {
    matches.local.push_back(&subscription);
    matches.is_durable |= subscription.is_durable;
  }
  for (const Remote& remote : node.members.remote) {
    matches.remote_shards |= 1ULL << remote.shard;
    if (remote.durable == 0) continue;
    matches.durable_shards |= 1ULL << remote.shard;
    matches.is_durable = true;
  }
  for (const auto& group : node.groups) collect_group(*group, matches);
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
