// TopicIndex: finds the topic filters that match a topic, by descending a tree of filter levels. Built once, then read
// by any thread.
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
  void add(std::string_view filter, uint32_t number);
  // Sets `numbers` to those that match, in ascending order. Room in `numbers` is used again.
  void match(std::string_view topic, std::vector<uint32_t>& numbers) const;

 private:
  struct Node {
    std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>> children;
    uint32_t any_level = 0;            // the child under '+'; 0: none
    std::vector<uint32_t> here;        // filters that end here
    std::vector<uint32_t> everything;  // filters that go on with '#', which also matches the level itself
  };

  uint32_t add_node();
  void descend(uint32_t index, std::string_view rest, bool more, std::vector<uint32_t>& numbers) const;

  std::vector<Node> nodes_;  // 0 is the root
};

}  // namespace verge::rules
