#include "rules/topic_index.h"

#include <algorithm>

#include "model/topic.h"

namespace verge::rules {

uint32_t TopicIndex::add_node() {
  nodes_.emplace_back();
  return static_cast<uint32_t>(nodes_.size() - 1);
}

void TopicIndex::add(std::string_view filter, uint32_t number) {
  uint32_t at = 0;
  bool more = true;
  while (more) {
    const std::string_view level = next_level(filter, more);
    if (level == "#") {
      nodes_[at].everything.push_back(number);
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
  nodes_[at].here.push_back(number);
}

void TopicIndex::match(std::string_view topic, std::vector<uint32_t>& numbers) const {
  numbers.clear();
  if (!topic.starts_with('$')) {
    descend(0, topic, true, numbers);
  } else {
    // No wildcard stands for a first level that begins with '$' [MQTT-4.7.2-1].
    bool more = true;
    const std::string_view level = next_level(topic, more);
    const auto child = nodes_[0].children.find(level);
    if (child != nodes_[0].children.end()) descend(child->second, topic, more, numbers);
  }
  std::ranges::sort(numbers);
}

void TopicIndex::descend(uint32_t index, std::string_view rest, bool more, std::vector<uint32_t>& numbers) const {
  const Node& node = nodes_[index];
  numbers.insert(numbers.end(), node.everything.begin(), node.everything.end());
  if (!more) {
    numbers.insert(numbers.end(), node.here.begin(), node.here.end());
    return;
  }
  const std::string_view level = next_level(rest, more);
  if (node.any_level != 0) descend(node.any_level, rest, more, numbers);
  if (node.children.empty()) return;
  const auto child = node.children.find(level);
  if (child != node.children.end()) descend(child->second, rest, more, numbers);
}

}  // namespace verge::rules
