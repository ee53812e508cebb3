// Popular: what is asked for most, at fixed memory (Space-Saving; Metwally, Agrawal, El Abbadi 2005): a place for each
// of the keys seen lately; one that has none takes that of the key with the least weight, and its weight.
//
// Weights are halved every few minutes, so that it follows what changes. At most kNotedASecond are noted a second: it
// stands beside requests that take microseconds. Shares are of what was noted.
//
// Threading: note() on one thread, places() on any.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace verge::cache {

class Popular {
 public:
  static constexpr size_t kPlaces = 128;
  static constexpr size_t kKeyBytesMax = 512;  // longer ones are not noted
  static constexpr unsigned kNotedASecond = 1000;
  static constexpr Duration kHalfLife = std::chrono::minutes(5);

  struct Place {
    std::string key;
    uint64_t weight = 0;
  };

  // Whether it was noted.
  bool note(std::string_view key, MonotonicTime now);
  // Adds those of `others`, by key; the sum of all weights that were noted.
  uint64_t add_to(std::unordered_map<std::string, uint64_t>& weights) const;
  // By weight, the heaviest first, `most` at most.
  static std::vector<Place> heaviest(const std::unordered_map<std::string, uint64_t>& weights, size_t most);

 private:
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };
  void halve();

  mutable std::mutex mutex_;  // guards weights_ and total_
  std::unordered_map<std::string, uint64_t, KeyHash, std::equal_to<>> weights_;
  uint64_t total_ = 0;
  MonotonicTime second_until_{};
  unsigned noted_ = 0;  // in this second
  MonotonicTime halved_{};
};

}  // namespace verge::cache
