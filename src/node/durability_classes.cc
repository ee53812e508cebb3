#include "node/durability_classes.h"

#include <algorithm>

#include "model/topic.h"

namespace verge::node {

const DurabilityClass* DurabilityClasses::of(std::string_view topic) const {
  for (const DurabilityClass& each : classes_) {
    const auto matches = [topic](const std::string& filter) { return topic_matches(filter, topic); };
    if (std::ranges::any_of(each.topics, matches)) return &each;
  }
  return nullptr;
}

}  // namespace verge::node
