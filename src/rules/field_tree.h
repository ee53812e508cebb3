// The fields that rules read, as a tree, so that one walk over a document finds them all.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "rules/field_path.h"

namespace verge::rules {

class FieldTree {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  class Node {
   public:
    // The child for the member or element, or kNone.
    [[nodiscard]] uint32_t member(std::string_view name) const;
    [[nodiscard]] uint32_t element(uint32_t index) const;
    [[nodiscard]] size_t member_count() const { return members_.size(); }
    [[nodiscard]] size_t element_count() const { return elements_.size(); }

    uint32_t slot = kNone;  // where the value found here goes

   private:
    friend class FieldTree;
    static constexpr size_t kScannedMax = 8;  // so many names are compared faster than hashed
    std::vector<std::pair<std::string, uint32_t>> members_;
    std::vector<std::pair<uint32_t, uint32_t>> elements_;
    // Of all members, once there are more than kScannedMax.
    std::unique_ptr<std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>>> index_;
  };

  FieldTree() : nodes_(1) {}
  void add(const FieldPath& path, uint32_t slot);
  // Where the field's value goes; kNone when it was not added.
  [[nodiscard]] uint32_t slot_of(const FieldPath& path) const;
  [[nodiscard]] bool empty() const { return nodes_.size() == 1; }
  [[nodiscard]] size_t size() const { return nodes_.size(); }
  // Node 0 is the document itself.
  [[nodiscard]] const Node& node(uint32_t index) const { return nodes_[index]; }

 private:
  uint32_t child(uint32_t parent, const PathStep& step);

  std::vector<Node> nodes_;
};

}  // namespace verge::rules
