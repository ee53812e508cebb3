#include "spool/record_reader.h"

#include <algorithm>

namespace verge::spool {

void RecordReader::seek(uint64_t sequence) {
  const uint64_t stands_at = is_unread_ ? last_.sequence : position_;
  if (sequence == stands_at) return;
  is_unread_ = false;
  records_.reset();
  log_.seek(sequence);
  position_ = sequence;
}

Result<std::optional<RecordReader::Numbered>> RecordReader::next(uint64_t end) {
  if (is_unread_) {
    if (last_.sequence >= end) return std::nullopt;
    is_unread_ = false;
    return last_;
  }
  while (true) {
    if (!records_) {
      const Result<std::optional<storage::FrameView>> read = log_.next(end);
      if (!read) {
        // Where exactly the log's reader stands is not known: it is placed anew.
        log_.seek(position_);
        return std::unexpected(read.error());
      }
      const std::optional<storage::FrameView>& frame = *read;
      if (!frame) {
        position_ = std::max(position_, end);
        return std::nullopt;
      }
      records_.emplace(frame->body);
      next_in_frame_ = frame->first_sequence;
      frame_age_s_ = frame->stamp;
      frame_end_ = next_in_frame_ + frame->count;
    }
    const std::optional<StoredRecord> record = records_->next();
    if (!record) {
      records_.reset();
      position_ = std::max(position_, frame_end_);
      continue;
    }
    const uint64_t sequence = next_in_frame_++;
    if (sequence < position_) continue;
    last_ = {sequence, frame_age_s_, *record};
    position_ = sequence + 1;
    if (sequence < end) return last_;
    is_unread_ = true;
    return std::nullopt;
  }
}

}  // namespace verge::spool
