// LineRate: how fast the way up is, measured by what was sent over it, and what follows from that: how hard to
// compress, how much to send at a time and how long to wait for an answer.
//
// On a slow line the time a byte takes is dear and the processor has little to do: compress hard. On a fast one it is
// the other way round. The level is bounded by the processor that is free: where preparing a batch takes as long as
// sending one, a step less is taken.
#pragma once

#include <cstddef>

#include "base/clock.h"

namespace verge::spool {

class LineRate {
 public:
  // A batch of `event_bytes`, compressed to `wire_bytes`, was answered `sending` after it was handed to the connection;
  // `preparing` went into reading and compressing it.
  void measure(size_t event_bytes, size_t wire_bytes, Duration sending, Duration preparing);

  // A batch was not answered within `waited`: the line may be slower than was thought.
  void timed_out(size_t wire_bytes, Duration waited);

  // Bytes a second, smoothed; 0: not known yet.
  [[nodiscard]] double bytes_per_s() const { return bytes_per_s_; }
  // zstd's: 9 below 100 KB/s, 6 below 1,000 KB/s, else 1; 3 before anything was measured.
  [[nodiscard]] int compression_level() const;
  // How large a batch may be before compression: what the line takes in 4 s, 16 KiB at least. Before anything was
  // measured 64 KiB, twice as much after each batch that was too small on the wire to tell. So a broken line costs
  // little that was sent in vain, and the pause between two batches little of the line.
  [[nodiscard]] size_t batch_bytes(size_t most) const;
  // How long an answer to so many bytes may take: `base`, and four times what the line needs for them, 10 minutes at
  // most.
  [[nodiscard]] Duration timeout(Duration base, size_t wire_bytes) const;

 private:
  double bytes_per_s_ = 0;
  double compression_ = 1;  // event bytes a byte on the wire, smoothed
  int level_max_ = 9;
  size_t unmeasured_bytes_ = 64U << 10;
};

}  // namespace verge::spool
