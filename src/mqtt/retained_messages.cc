#include "mqtt/retained_messages.h"

#include <optional>
#include <utility>

#include "model/topic.h"

namespace verge::mqtt {
namespace {

// What the containers and the allocator take beside the text, rounded up.
constexpr size_t kMessageBytes = 288;
constexpr size_t kLevelBytes = 104;
constexpr size_t kChildrenBytes = 64;  // of the map that levels stand in

size_t text_bytes(const Message& message) {
  return message.topic.size() + message.properties.size() + message.payload.size();
}
size_t kept_bytes(const Message& message) { return kMessageBytes + text_bytes(message); }
size_t level_bytes(std::string_view level) { return kLevelBytes + level.size(); }

}  // namespace

RetainedMessages::Node* RetainedMessages::Node::child(std::string_view level) const {
  if (!children) return nullptr;
  const auto found = children->find(level);
  return found == children->end() ? nullptr : &found->second;
}

bool RetainedMessages::has_later_than(const Message& message) const {
  const Node* node = &root_;
  std::string_view rest = message.topic;
  for (bool more = true; more && node != nullptr;) node = node->child(next_level(rest, more));
  return node != nullptr && node->message && node->message->order > message.order;
}

bool RetainedMessages::set(MessagePointer message) {
  std::string_view rest = message->topic;
  if (message->payload.empty()) {
    clear(root_, rest, true);
    return true;
  }
  // As far as there are levels; then what the missing ones would take.
  Node* node = &root_;
  bool more = true;
  std::optional<std::string_view> missing;
  while (more) {
    const std::string_view from_here = rest;
    Node* const child = node->child(next_level(rest, more));
    if (child == nullptr) {
      missing = from_here;
      break;
    }
    node = child;
  }
  size_t added = kept_bytes(*message);
  if (missing) {
    std::string_view left = *missing;
    bool has_children = node->children != nullptr;
    for (bool another = true; another; has_children = false) {
      added += level_bytes(next_level(left, another)) + (has_children ? 0 : kChildrenBytes);
    }
  }
  const size_t replaced = !missing && node->message ? kept_bytes(*node->message) : 0;
  const bool is_new = replaced == 0;
  if ((is_new && size_ >= messages_max_) || bytes_ - replaced + added > bytes_max_) return false;
  if (missing) {
    for (bool another = true; another;) {
      const std::string_view level = next_level(*missing, another);
      if (!node->children) node->children = std::make_unique<Children>();
      node = &(*node->children)[std::string(level)];
    }
  }
  if (is_new) ++size_;
  bytes_ += added - replaced;
  node->message = std::move(message);
  return true;
}

bool RetainedMessages::clear(Node& node, std::string_view rest, bool more) {
  if (!more) {
    if (node.message) {
      --size_;
      bytes_ -= kept_bytes(*node.message);
    }
    node.message = nullptr;
  } else {
    const std::string_view level = next_level(rest, more);
    Node* const child = node.child(level);
    if (child != nullptr && clear(*child, rest, more)) {
      bytes_ -= level_bytes(level);
      node.children->erase(node.children->find(level));
      if (node.children->empty()) {
        bytes_ -= kChildrenBytes;
        node.children = nullptr;
      }
    }
  }
  return !node.children && !node.message;
}

struct RetainedMessages::Search {
  const PageLimits& limits;
  const MonotonicTime now;
  const bool of_expired;  // those alone, instead of the others; of topics with $ too
  Page page;
  std::string path;  // of the node that is looked at
  size_t bytes = 0;
  size_t visits = 0;
};

RetainedMessages::Page RetainedMessages::page(std::string_view filter, std::string_view after, const PageLimits& limits,
                                              MonotonicTime now) const {
  Search search{.limits = limits, .now = now, .of_expired = false, .page = {}, .path = {}};
  return this->search(filter, after, search);
}

RetainedMessages::Page RetainedMessages::search(std::string_view filter, std::string_view after, Search& search) const {
  std::vector<std::string_view> levels;
  if (!after.empty()) levels = topic_levels(after);
  search.page.complete = descend(root_, filter, /*first=*/true, {.on_way = !levels.empty(), .levels = levels}, search);
  return std::move(search.page);
}

void RetainedMessages::clear_expired(const PageLimits& limits, MonotonicTime now) {
  Search search{.limits = limits, .now = now, .of_expired = true, .page = {}, .path = {}};
  const Page page = this->search("#", cleared_through_, search);
  cleared_through_ = page.complete ? std::string() : page.through;
  for (const MessagePointer& message : page.messages) clear(root_, message->topic, true);
}

bool RetainedMessages::visit(const Node& node, std::string_view rest, bool more, const Resume& resume, Search& search) {
  // What lies on the way to where the last page ended comes before that.
  if (!resume.on_way) {
    ++search.visits;
    const bool matches = !more || rest == "#";  // "a/#" also matches "a"
    if (matches && node.message && (node.message->expires > search.now) != search.of_expired) {
      search.bytes += text_bytes(*node.message);
      search.page.messages.push_back(node.message);
    }
    if (search.page.messages.size() >= search.limits.messages_max || search.bytes >= search.limits.bytes_max ||
        search.visits >= search.limits.visits_max) {
      search.page.through = search.path;
      return false;
    }
  }
  return !more || descend(node, rest, /*first=*/false, resume, search);
}

bool RetainedMessages::descend(const Node& node, std::string_view rest, bool first, const Resume& resume,
                               Search& search) {
  if (!node.children) return true;
  const Children& children = *node.children;
  const std::string_view whole = rest;
  bool more = false;
  const std::string_view level = next_level(rest, more);
  const bool all = level == "#";
  const bool wild = all || level == "+";
  const std::string_view begin = resume.on_way && !resume.levels.empty() ? resume.levels[0] : std::string_view{};
  const size_t path_size = search.path.size();
  auto child = wild ? children.lower_bound(begin) : children.find(level);
  if (!wild && child != children.end() && child->first < begin) return true;
  for (; child != children.end(); ++child) {
    const auto& [name, below] = *child;
    if (wild && first && name.starts_with('$') && !search.of_expired) continue;
    const bool on_way = resume.on_way && !resume.levels.empty() && name == begin;
    if (!first) search.path.push_back('/');
    search.path.append(name);
    const Resume next{.on_way = on_way,
                      .levels = on_way ? resume.levels.subspan(1) : std::span<const std::string_view>()};
    const bool went_on = all ? visit(below, whole, true, next, search) : visit(below, rest, more, next, search);
    if (!went_on) return false;
    search.path.resize(path_size);
    if (!wild) break;
  }
  return true;
}

}  // namespace verge::mqtt
