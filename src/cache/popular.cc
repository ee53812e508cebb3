#include "cache/popular.h"

#include <algorithm>

namespace verge::cache {

bool Popular::note(std::string_view key, MonotonicTime now) {
  if (now >= second_until_) {
    second_until_ = now + std::chrono::seconds(1);
    noted_ = 0;
  }
  if (noted_ >= kNotedASecond || key.size() > kKeyBytesMax) return false;
  ++noted_;
  const std::scoped_lock lock(mutex_);
  if (halved_ == MonotonicTime{}) halved_ = now;
  if (now - halved_ >= kHalfLife) {
    halved_ = now;
    halve();
  }
  ++total_;
  if (const auto found = weights_.find(key); found != weights_.end()) {
    ++found->second;
    return true;
  }
  uint64_t weight = 0;
  if (weights_.size() >= kPlaces) {
    const auto least =
        std::ranges::min_element(weights_, [](const auto& a, const auto& b) { return a.second < b.second; });
    weight = least->second;
    weights_.erase(least);
  }
  weights_.emplace(key, weight + 1);
  return true;
}

void Popular::halve() {
  total_ /= 2;
  for (auto& [key, weight] : weights_) weight /= 2;
  std::erase_if(weights_, [](const auto& place) { return place.second == 0; });
}

uint64_t Popular::add_to(std::unordered_map<std::string, uint64_t>& weights) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, weight] : weights_) weights[key] += weight;
  return total_;
}

std::vector<Popular::Place> Popular::heaviest(const std::unordered_map<std::string, uint64_t>& weights, size_t most) {
  std::vector<Place> places;
  places.reserve(weights.size());
  for (const auto& [key, weight] : weights) places.push_back({key, weight});
  const auto heavier = [](const Place& a, const Place& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.key < b.key;
  };
  std::ranges::sort(places, heavier);
  if (places.size() > most) places.resize(most);
  return places;
}

}  // namespace verge::cache
