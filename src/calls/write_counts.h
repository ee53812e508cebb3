// How often namespaces of keys and values were written to (docs/formats/isolate-frames.md, "The counts"): memory that
// the node writes and all isolate processes read, so that a value that was read before is known to be the one that a
// further read would give (docs/decisions/0071-values-kept-in-isolates.md).
//
// Namespaces share counters: one that rises for another's write costs a read, no more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/hash.h"

namespace verge::calls {

// The descriptor that a zygote has it by, where there is one.
inline constexpr int kWriteCountsDescriptor = 4;

struct WriteCounts {
  static constexpr size_t kCounters = 512;
  std::array<std::atomic<uint64_t>, kCounters> counters;

  static uint32_t counter_of(std::string_view space) { return static_cast<uint32_t>(hash64(space) % kCounters); }
  // A write of that namespace can be read from now on, and was not answered yet.
  void add(std::string_view space) { counters[counter_of(space)].fetch_add(1, std::memory_order_release); }
  [[nodiscard]] uint64_t of(uint32_t counter) const { return counters[counter].load(std::memory_order_acquire); }
};
static_assert(sizeof(WriteCounts) == 4096 && std::atomic<uint64_t>::is_always_lock_free);

}  // namespace verge::calls
