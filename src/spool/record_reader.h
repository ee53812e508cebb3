// RecordReader: the records of one stream in order, frame by frame.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "spool/record.h"
#include "storage/segmented_log.h"

namespace verge::spool {

class RecordReader {
 public:
  struct Numbered {
    uint64_t sequence = 0;
    uint32_t age_s = 0;   // of the age clock, when it was stored
    StoredRecord record;  // good until a call that reads another frame
  };

  RecordReader(storage::FileSystem& file_system, std::string directory, const storage::KeyRing& keys)
      : log_(file_system, std::move(directory), keys) {}

  // The next record is the first one at or after `sequence`. Free where the reader stands there already.
  void seek(uint64_t sequence);
  // The next record below `end`; nothing when there is none (yet). Errors: those of the log; the reader stands where it
  // stood.
  Result<std::optional<Numbered>> next(uint64_t end);
  // Gives the record that next() gave last once more.
  void unread() { is_unread_ = true; }

  // As the log's: behind the frame of the last record.
  [[nodiscard]] std::optional<storage::LogEnd> position() const { return log_.position(); }
  std::vector<storage::DamagedRange> take_damaged() { return log_.take_damaged(); }

 private:
  storage::LogReader log_;
  std::optional<FrameRecords> records_;  // of the current frame
  uint64_t next_in_frame_ = 0;           // the sequence of its next record
  uint64_t frame_end_ = 0;
  uint32_t frame_age_s_ = 0;
  uint64_t position_ = 1;  // no record below is wanted any more
  Numbered last_;
  bool is_unread_ = false;
};

}  // namespace verge::spool
