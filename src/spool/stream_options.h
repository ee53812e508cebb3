// What may be chosen for each stream of a spool.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace verge::spool {

// What becomes of a stream's new records when there is no space.
enum class WhenFull : uint8_t {
  kReject,      // refused, with spool.full: the sender keeps them
  kDropOldest,  // the oldest records of this stream go
  kDropLower,   // the oldest records of the least important streams below this one go; else refused
  kDownsample,  // from 3/4 of the space on one in two is stored, from 7/8 one in four, from 15/16 one in eight; then
                // refused
};

struct StreamOptions {
  WhenFull when_full = WhenFull::kReject;
  Duration ttl{0};  // older records are not sent any more; 0: no limit
  bool operator==(const StreamOptions&) const = default;
};

}  // namespace verge::spool
