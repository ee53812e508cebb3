// The body of a log frame: the records of one stream that were committed together, and which source each came from
// (docs/formats/spool.md).
//
//   source count (varint) | sources (sized bytes each) | records
//   record: source index (varint, 0: none, else 1-based) | its sequence there (varint, if it has a source) | event
//   (sized)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"

namespace verge::spool {

struct StoredRecord {
  std::string_view source;  // empty: none
  uint64_t source_sequence = 0;
  std::string_view event;  // as append_event() wrote it
};

inline constexpr uint32_t kFrameRecordsMax = 16384;
inline constexpr size_t kFrameSourcesMax = 4096;

// Gathers records into a frame body.
class FrameBuilder {
 public:
  void add(std::string_view source, uint64_t source_sequence, std::string_view event);
  [[nodiscard]] uint32_t count() const { return count_; }
  // Full at a bound of records or sources, or of `bytes_max`: take() before the next add().
  [[nodiscard]] bool is_full(size_t bytes_max) const {
    return records_.size() + source_bytes_ >= bytes_max || count_ >= kFrameRecordsMax ||
           sources_.size() >= kFrameSourcesMax;
  }
  // `room` bytes, then the body; the builder is empty afterwards.
  std::string take(size_t room);

 private:
  std::vector<std::string> sources_;
  std::unordered_map<std::string, size_t> source_index_;
  size_t source_bytes_ = 0;
  size_t last_source_ = 0;  // 1-based
  std::string records_;
  uint32_t count_ = 0;
};

// Reads the records of a frame body in order.
class FrameRecords {
 public:
  explicit FrameRecords(std::string_view body);
  // Nothing at the end, or when the body is not well formed.
  std::optional<StoredRecord> next();

 private:
  ByteReader reader_;
  std::vector<std::string_view> sources_;
};

}  // namespace verge::spool
