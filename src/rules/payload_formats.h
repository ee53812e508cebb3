// PayloadFormats: which messages' payloads are not JSON, by topic. Built once, then read by any thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "payloads/format.h"
#include "rules/topic_index.h"

namespace verge::rules {

class PayloadFormats {
 public:
  // `filter` must be valid. Of several that match a topic, the one that was added first counts.
  void add(std::string_view filter, std::shared_ptr<const payloads::Format> format) {
    topics_.add(filter, static_cast<uint32_t>(formats_.size()));
    formats_.push_back(std::move(format));
  }
  // Null: JSON. `numbers` is room that is used again.
  [[nodiscard]] const payloads::Format* of(std::string_view topic, std::vector<uint32_t>& numbers) const {
    if (formats_.empty()) return nullptr;
    topics_.match(topic, numbers);
    return numbers.empty() ? nullptr : formats_[numbers.front()].get();
  }

 private:
  TopicIndex topics_;
  std::vector<std::shared_ptr<const payloads::Format>> formats_;  // shared by several filters
};

}  // namespace verge::rules
