#include "mqtt/retained_messages.h"

#include "model/topic.h"

namespace verge::mqtt {
namespace {

void add(const MessagePointer& message, MonotonicTime now, std::vector<MessagePointer>& found) {
  if (message && message->expires > now) found.push_back(message);
}

}  // namespace

bool RetainedMessages::set(MessagePointer message) {
  std::string_view rest = message->topic;
  if (message->payload.empty()) {
    clear(root_, rest, true);
    return true;
  }
  Node* node = &root_;
  bool more = true;
  while (more) {
    const std::string_view level = next_level(rest, more);
    auto child = node->children.find(level);
    if (child == node->children.end()) {
      if (size_ >= messages_max_) {
        clear(root_, message->topic, true);  // removes the levels that were just made
        return false;
      }
      child = node->children.emplace(std::string(level), std::make_unique<Node>()).first;
    }
    node = child->second.get();
  }
  const size_t replaced = node->message ? node->message->payload.size() : 0;
  if ((!node->message && size_ >= messages_max_) || bytes_ - replaced + message->payload.size() > bytes_max_) {
    if (!node->message) clear(root_, message->topic, true);
    return false;
  }
  if (!node->message) ++size_;
  bytes_ += message->payload.size() - replaced;
  node->message = std::move(message);
  return true;
}

bool RetainedMessages::clear(Node& node, std::string_view rest, bool more) {
  if (!more) {
    if (node.message) {
      --size_;
      bytes_ -= node.message->payload.size();
    }
    node.message = nullptr;
  } else {
    const std::string_view level = next_level(rest, more);
    const auto child = node.children.find(level);
    if (child != node.children.end() && clear(*child->second, rest, more)) node.children.erase(child);
  }
  return node.children.empty() && !node.message;
}

void RetainedMessages::match(std::string_view filter, MonotonicTime now, std::vector<MessagePointer>& found) const {
  match_level(root_, filter, true, now, found);
}

void RetainedMessages::collect_all(const Node& node, MonotonicTime now, std::vector<MessagePointer>& found) {
  add(node.message, now, found);
  for (const auto& [name, child] : node.children) collect_all(*child, now, found);
}

void RetainedMessages::match_level(const Node& node, std::string_view rest, bool first, MonotonicTime now,
                                   std::vector<MessagePointer>& found) {
  bool more = false;
  const std::string_view level = next_level(rest, more);
  const auto descend = [&](const Node& child) {
    if (more) {
      if (rest == "#") add(child.message, now, found);  // "a/#" also matches "a"
      match_level(child, rest, false, now, found);
    } else {
      add(child.message, now, found);
    }
  };
  if (level == "#" || level == "+") {
    for (const auto& [name, child] : node.children) {
      if (first && name.starts_with('$')) continue;
      if (level == "#") {
        collect_all(*child, now, found);
      } else {
        descend(*child);
      }
    }
    return;
  }
  if (const auto child = node.children.find(level); child != node.children.end()) descend(*child->second);
}

}  // namespace verge::mqtt
