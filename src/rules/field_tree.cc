#include "rules/field_tree.h"

namespace verge::rules {

uint32_t FieldTree::Node::member(std::string_view name) const {
  if (members_.size() > kScannedMax) {
    const auto found = index_->find(name);
    return found == index_->end() ? kNone : found->second;
  }
  for (const auto& [known, child] : members_) {
    if (known == name) return child;
  }
  return kNone;
}

uint32_t FieldTree::Node::element(uint32_t index) const {
  for (const auto& [known, child] : elements_) {
    if (known == index) return child;
  }
  return kNone;
}

void FieldTree::add(const FieldPath& path, uint32_t slot) {
  uint32_t at = 0;
  for (const PathStep& step : path) at = child(at, step);
  nodes_[at].slot = slot;
}

uint32_t FieldTree::child(uint32_t parent, const PathStep& step) {
  const uint32_t known = step.is_element ? nodes_[parent].element(step.element) : nodes_[parent].member(step.name);
  if (known != kNone) return known;
  const auto added = static_cast<uint32_t>(nodes_.size());
  nodes_.emplace_back();
  Node& node = nodes_[parent];
  if (step.is_element) {
    node.elements_.emplace_back(step.element, added);
    return added;
  }
  node.members_.emplace_back(step.name, added);
  if (node.members_.size() <= Node::kScannedMax) return added;
  if (node.index_ != nullptr) {
    node.index_->emplace(step.name, added);
  } else {
    node.index_ = std::make_unique<std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>>>(
        node.members_.begin(), node.members_.end());
  }
  return added;
}

uint32_t FieldTree::slot_of(const FieldPath& path) const {
  uint32_t at = 0;
  for (const PathStep& step : path) {
    at = step.is_element ? nodes_[at].element(step.element) : nodes_[at].member(step.name);
    if (at == kNone) return kNone;
  }
  return nodes_[at].slot;
}

}  // namespace verge::rules
