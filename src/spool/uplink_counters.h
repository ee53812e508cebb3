// UplinkCounters: what the uplink did, written on its loop and readable anywhere.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/metrics.h"

namespace verge::spool {

struct UplinkCounters {
  Counter batches;
  Counter records;
  Counter event_bytes;  // delivered, before compression
  Counter failures;
  Counter refusals;                          // batches that the parent refused for good
  Counter buried;                            // records given up
  Counter damaged;                           // sequences that could not be read any more
  Counter expired;                           // records that outlived their time to live
  std::atomic<uint64_t> bytes_sent{0};       // on the wire, heads and repetitions included
  std::atomic<uint64_t> bytes_received{0};   // likewise
  std::atomic<bool> connected{false};        // the last batch was delivered
  std::atomic<bool> outage_is_said{false};   // in the log, by whoever found first that the parent is not reached
  std::atomic<int64_t> last_delivery_us{0};  // wall clock; 0: never
  std::atomic<uint64_t> line_bytes_per_s{0};
  std::atomic<int> compression_level{0};
};

}  // namespace verge::spool
