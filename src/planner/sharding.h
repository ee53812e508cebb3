// Which shard has which key.
//
// Hashing: consistent, with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018): a key goes to the next shard
// on the ring that has fewer than ⌈(1 + slack) · keys / shards⌉. Geography: a key goes to the nearest shard that is not
// full in the same sense, the keys that gain most by it first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "planner/geography.h"

namespace verge::planner {

inline constexpr double kUsualSlack = 0.25;

struct Sharding {
  std::vector<uint32_t> shard_of;  // of each key
  std::vector<uint64_t> keys_of;   // of each shard
  double imbalance = 0;            // largest / mean
};

// Key i is hashed by its number.
Sharding hash_keys(std::span<const std::string> shards, size_t keys, double slack = kUsualSlack);

Sharding partition_by_place(std::span<const Coordinates> shards, std::span<const Coordinates> keys,
                            double slack = kUsualSlack);

// Keys that are elsewhere afterwards; shards are compared by name.
size_t moves_between(const Sharding& before, std::span<const std::string> names_before, const Sharding& after,
                     std::span<const std::string> names_after);

}  // namespace verge::planner
