// Batch: records of one stream on their way from a node to its parent (docs/formats/uplink.md). The body of
// POST /v1/uplink, zstd-compressed.
//
//   "VUB1" | node id 16 | incarnation 16 | stream u8 | name (sized) | floor (varint) | count (varint) | records
//   record: sequence, less the one before it (varint) | event (sized)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/event.h"
#include "model/node_id.h"
#include "model/priority.h"

namespace verge::spool {

inline constexpr size_t kBatchBytesMax = 32U << 20;       // uncompressed; a larger one is refused
inline constexpr uint64_t kBatchRecordsTarget = 100'000;  // a batch ends with the frame that reaches it
inline constexpr uint64_t kBatchRecordsMax = 131'072;     // more are refused
inline constexpr std::string_view kBatchContentType = "application/vnd.verge.batch";

struct BatchHeader {
  NodeId node;
  NodeId incarnation;
  Priority stream = Priority::kNormal;
  std::string name;    // of the sending node
  uint64_t floor = 0;  // every sequence below has been delivered or will never come

  // How the receiver's ledger names the stream.
  [[nodiscard]] std::string source() const;
};

class BatchBuilder {
 public:
  explicit BatchBuilder(BatchHeader header) : header_(std::move(header)) {}
  // Sequences rise.
  void add(uint64_t sequence, std::string_view event);
  [[nodiscard]] size_t bytes() const { return records_.size(); }
  [[nodiscard]] uint64_t count() const { return count_; }
  // Compressed with zstd at `level` (1..19).
  [[nodiscard]] std::string take(int level);

 private:
  BatchHeader header_;
  std::string records_;
  uint64_t count_ = 0;
  uint64_t last_sequence_ = 0;
};

struct Batch {
  struct Record {
    uint64_t sequence = 0;
    EventView event;  // view into Batch::bytes
  };
  std::string bytes;
  BatchHeader header;
  std::vector<Record> records;

  // Errors: uplink.malformed, uplink.too-large.
  static Result<Batch> parse(std::string_view compressed);
};

}  // namespace verge::spool
