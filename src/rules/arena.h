// Arena: room for the texts that expressions make while one message is evaluated. What keep() returned stays in place
// until clear(), which keeps the first block, so that the common path allocates nothing.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace verge::rules {

class Arena {
 public:
  // A copy of `text`, valid until clear().
  std::string_view keep(std::string_view text);
  void clear();

 private:
  static constexpr size_t kBlockBytes = 4096;
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
  };

  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace verge::rules
