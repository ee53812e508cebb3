// TopicIndex: finds the rules whose filter matches a topic, by descending a tree of filter levels. Built once, then
// read by any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"

namespace verge::rules {

class TopicIndex {
 public:
  TopicIndex() : nodes_(1) {}
  // `filter` must be valid.
  void add(std::string_view filter, uint32_t rule);
  // Sets `rules` to those that match, in ascending order. Room in `rules` is used again.
  void match(std::string_view topic, std::vector<uint32_t>& rules) const;

 private:
  struct Node {
    std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>> children;
    uint32_t any_level = 0;            // the child under '+'; 0: none
    std::vector<uint32_t> here;        // rules whose filter ends here
    std::vector<uint32_t> everything;  // rules whose filter goes on with '#', which also matches the level itself
  };

  uint32_t add_node();
  void descend(uint32_t index, std::string_view rest, bool more, std::vector<uint32_t>& rules) const;

  std::vector<Node> nodes_;  // 0 is the root
};

}  // namespace verge::rules
