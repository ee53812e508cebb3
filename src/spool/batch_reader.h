// BatchReader: makes batches of what a lane is to send. It reads the log from the front of a stretch until the batch is
// full, and compresses. That is the slow half of the uplink; it runs where nothing waits for it, and decides nothing.
//
// No threads: one reader a lane, used by one thread at a time.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/payload.h"
#include "model/node_id.h"
#include "spool/age_clock.h"
#include "spool/lives.h"
#include "spool/record_reader.h"
#include "spool/send_plan.h"
#include "storage/segmented_log.h"

namespace verge::spool {

struct BatchLimits {
  uint64_t floor = 0;  // as the batch's header is to say it
  int level = 3;       // zstd's
  size_t bytes = 0;    // of events
};

// A batch, or why there is none.
struct PreparedBatch {
  SendPlan::Stretch stretch;
  uint64_t end = 0;           // of the sequences that were read
  uint64_t first_record = 0;  // its sequence
  uint64_t records = 0;
  uint64_t expired = 0;  // passed over: they outlived their time to live
  uint64_t event_bytes = 0;
  std::string first_event;
  Payload body;                // empty: there is nothing in that range
  std::optional<Error> error;  // the log could not be read
  std::vector<storage::DamagedRange> damaged;
  Duration took{0};
};

class BatchReader {
 public:
  // Who sends: what every batch's header says.
  struct Sender {
    NodeId node;
    Lives lives;
    std::string name;
  };

  // `ttl` a stream; 0: no limit. The references outlive the reader.
  BatchReader(storage::FileSystem& file_system, std::string spool_directory, const storage::KeyRing& keys,
              Sender sender, const std::array<Duration, kPriorities.size()>& ttl, const Clock& clock,
              AgeClock& age_clock)
      : file_system_(file_system),
        spool_directory_(std::move(spool_directory)),
        keys_(keys),
        sender_(std::move(sender)),
        ttl_(ttl),
        clock_(clock),
        age_clock_(age_clock) {}

  // `seen`: is shown each record of the batch; none: nobody is.
  using Seen = std::function<void(Priority stream, uint64_t sequence, std::string_view event)>;
  PreparedBatch read(const SendPlan::Stretch& stretch, const BatchLimits& limits, const Seen& seen = {});

 private:
  RecordReader& reader_of(Priority stream);

  storage::FileSystem& file_system_;
  const std::string spool_directory_;
  const storage::KeyRing& keys_;
  const Sender sender_;
  const std::array<Duration, kPriorities.size()> ttl_;
  const Clock& clock_;
  AgeClock& age_clock_;
  std::array<std::unique_ptr<RecordReader>, kPriorities.size()> readers_;
};

}  // namespace verge::spool
