#include "rules/arena.h"

#include <algorithm>
#include <cstring>

namespace verge::rules {

std::string_view Arena::keep(std::string_view text) {
  if (text.empty()) return {};
  if (blocks_.empty() || blocks_.back().size - used_ < text.size()) {
    const size_t size = std::max(kBlockBytes, text.size());
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    used_ = 0;
  }
  char* place = blocks_.back().bytes.get() + used_;
  std::memcpy(place, text.data(), text.size());
  used_ += text.size();
  return {place, text.size()};
}

void Arena::clear() {
  if (blocks_.size() > 1 || (!blocks_.empty() && blocks_.front().size > kBlockBytes)) {
    const bool reusable = blocks_.front().size == kBlockBytes;
    blocks_.resize(reusable ? 1 : 0);
  }
  used_ = 0;
}

}  // namespace verge::rules
