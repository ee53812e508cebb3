// One answer as a segment of the disk tier holds it (docs/formats/cache.md): header, head, checksums of the body's
// blocks, body. Nothing in it is used before its checksum was right.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/answer.h"

namespace verge::cache {

inline constexpr size_t kRecordAlignment = 64;
inline constexpr size_t kRecordHeaderBytes = 40;
inline constexpr size_t kRecordBlockBytes = 256U << 10;  // of the body, each with a checksum

constexpr uint64_t record_aligned(uint64_t bytes) {
  return (bytes + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

// What a record's fixed header says.
struct RecordHeader {
  uint64_t url = 0;  // its hash
  uint32_t head_bytes = 0;
  uint64_t body_bytes = 0;
  uint64_t checksum = 0;

  // Header, head and checksums of blocks: the body follows.
  [[nodiscard]] uint64_t prefix_bytes() const;
  [[nodiscard]] uint64_t bytes() const { return record_aligned(prefix_bytes() + body_bytes); }
};

// Header, head and checksums of blocks. The answer's body is complete.
std::string record_prefix(const Answer& answer, uint64_t url_hash);

// Nothing where no record begins.
std::optional<RecordHeader> read_record_header(std::string_view bytes);

// The head of a record and what its body must be.
struct RecordHead {
  AnswerParts parts;  // without its body
  std::vector<net::HttpField> trailers;
  std::vector<uint64_t> block_checksums;
};
// `prefix`: header.prefix_bytes(). Views in the result point there. Nothing when it is not what was written.
std::optional<RecordHead> read_record_head(const RecordHeader& header, std::string_view prefix);

// Of one block of the body; `number` counts from 0.
uint64_t block_checksum(std::string_view block, uint64_t number);

// By which answers to one URL differ: a hash of what Vary selects by, and which part it is.
uint32_t variant_of(const Answer& answer);

}  // namespace verge::cache
