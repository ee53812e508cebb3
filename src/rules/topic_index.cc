#include "rules/topic_index.h"

#include <algorithm>

#include "model/topic.h"

namespace verge::rules {

uint32_t TopicIndex::add_node() {
  nodes_.emplace_back();
  return static_cast<uint32_t>(nodes_.size() - 1);
}

void TopicIndex::add(std::string_view filter, uint32_t rule) {
  uint32_t at = 0;
  bool more = true;
  while (more) {
    const std::string_view level = next_level(filter, more);
    if (level == "#") {
      nodes_[at].everything.push_back(rule);
      return;
    }
    uint32_t next = 0;
    if (level == "+") {
      next = nodes_[at].any_level;
    } else if (const auto known = nodes_[at].children.find(level); known != nodes_[at].children.end()) {
      next = known->second;
    }
    if (next == 0) {
      next = add_node();
      if (level == "+") {
        nodes_[at].any_level = next;
      } else {
        nodes_[at].children.emplace(level, next);
      }
    }
    at = next;
  }
  nodes_[at].here.push_back(rule);
}

void TopicIndex::match(std::string_view topic, std::vector<uint32_t>& rules) const {
  rules.clear();
  if (!topic.starts_with('$')) {
    descend(0, topic, true, rules);
  } else {
    // No wildcard stands for a first level that begins with '$' [MQTT-4.7.2-1].
    bool more = true;
    const std::string_view level = next_level(topic, more);
    const auto child = nodes_[0].children.find(level);
    if (child != nodes_[0].children.end()) descend(child->second, topic, more, rules);
  }
  std::ranges::sort(rules);
}

void TopicIndex::descend(uint32_t index, std::string_view rest, bool more, std::vector<uint32_t>& rules) const {
  const Node& node = nodes_[index];
  rules.insert(rules.end(), node.everything.begin(), node.everything.end());
  if (!more) {
    rules.insert(rules.end(), node.here.begin(), node.here.end());
    return;
  }
  const std::string_view level = next_level(rest, more);
  if (node.any_level != 0) descend(node.any_level, rest, more, rules);
  if (node.children.empty()) return;
  const auto child = node.children.find(level);
  if (child != node.children.end()) descend(child->second, rest, more, rules);
}

}  // namespace verge::rules
