#include "planner/sharding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/hash.h"

namespace verge::planner {

namespace {

constexpr int kPointsPerShard = 128;  // on the ring

uint64_t bound_of(size_t keys, size_t shards, double slack) {
  return static_cast<uint64_t>(std::ceil((1 + slack) * static_cast<double>(keys) / static_cast<double>(shards)));
}

void finish(Sharding& sharding, size_t keys) {
  const double mean = static_cast<double>(keys) / static_cast<double>(std::max<size_t>(1, sharding.keys_of.size()));
  const uint64_t most = sharding.keys_of.empty() ? 0 : *std::ranges::max_element(sharding.keys_of);
  sharding.imbalance = mean > 0 ? static_cast<double>(most) / mean : 1;
}

}  // namespace

Sharding hash_keys(std::span<const std::string> shards, size_t keys, double slack) {
  Sharding sharding{.shard_of = std::vector<uint32_t>(keys, 0), .keys_of = std::vector<uint64_t>(shards.size(), 0)};
  if (shards.empty()) return sharding;
  std::vector<std::pair<uint64_t, uint32_t>> ring;
  for (uint32_t shard = 0; shard < shards.size(); ++shard) {
    for (int point = 0; point < kPointsPerShard; ++point) {
      ring.emplace_back(hash64(fmt::format("{}#{}", shards[shard], point)), shard);
    }
  }
  std::ranges::sort(ring);
  const uint64_t bound = bound_of(keys, shards.size(), slack);
  for (size_t key = 0; key < keys; ++key) {
    const uint64_t hash = hash64(fmt::format("key {}", key));
    auto at = std::ranges::lower_bound(ring, std::pair<uint64_t, uint32_t>{hash, 0});
    while (true) {
      if (at == ring.end()) at = ring.begin();
      if (sharding.keys_of[at->second] < bound) break;
      ++at;
    }
    sharding.shard_of[key] = at->second;
    ++sharding.keys_of[at->second];
  }
  finish(sharding, keys);
  return sharding;
}

Sharding partition_by_place(std::span<const Coordinates> shards, std::span<const Coordinates> keys, double slack) {
  Sharding sharding{.shard_of = std::vector<uint32_t>(keys.size(), 0),
                    .keys_of = std::vector<uint64_t>(shards.size(), 0)};
  if (shards.empty()) return sharding;
  struct Wish {
    double regret;  // what the second nearest is farther
    uint32_t key;
  };
  std::vector<Wish> wishes;
  for (uint32_t key = 0; key < keys.size(); ++key) {
    double first = 1e300;
    double second = 1e300;
    for (const Coordinates& shard : shards) {
      const double distance = great_circle_km(keys[key], shard);
      if (distance < first) {
        second = std::exchange(first, distance);
      } else {
        second = std::min(second, distance);
      }
    }
    wishes.push_back({shards.size() > 1 ? second - first : 0, key});
  }
  std::ranges::sort(
      wishes, [](const Wish& a, const Wish& b) { return a.regret != b.regret ? a.regret > b.regret : a.key < b.key; });
  const uint64_t bound = bound_of(keys.size(), shards.size(), slack);
  for (const Wish& wish : wishes) {
    double least = 1e300;
    uint32_t nearest = 0;
    for (uint32_t shard = 0; shard < shards.size(); ++shard) {
      const double distance = great_circle_km(keys[wish.key], shards[shard]);
      if (sharding.keys_of[shard] >= bound || distance >= least) continue;
      least = distance;
      nearest = shard;
    }
    sharding.shard_of[wish.key] = nearest;
    ++sharding.keys_of[nearest];
  }
  finish(sharding, keys.size());
  return sharding;
}

size_t moves_between(const Sharding& before, std::span<const std::string> names_before, const Sharding& after,
                     std::span<const std::string> names_after) {
  size_t moves = 0;
  for (size_t key = 0; key < before.shard_of.size() && key < after.shard_of.size(); ++key) {
    moves += names_before[before.shard_of[key]] != names_after[after.shard_of[key]] ? 1 : 0;
  }
  return moves;
}

}  // namespace verge::planner
